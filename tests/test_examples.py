"""The scripts in `examples/` work."""

import csv
import importlib.util
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch

from lpips_repro.evaluation.run import evaluate
from lpips_repro.metrics import l2, psnr
from tests.compose import CONFIGS, settings
from tests.datasets.folders import make_split
from tests.generated import formula_images

EXAMPLES = CONFIGS.parent / "examples"


def example(name: str) -> ModuleType:
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(f"examples_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_loss_moves_an_image_to_the_reference_and_keeps_its_range(imagenet):
    reference, _, start = (2 * image - 1 for image in formula_images())
    image, losses = example("loss").approach(start, reference, steps=30)
    assert losses[-1] < 0.5 * losses[0]
    assert image.dtype == torch.float32 and not image.requires_grad
    assert image.min() >= -1 and image.max() <= 1
    assert not torch.equal(image, start)


def test_the_loss_can_be_used_on_black_and_white_images(imagenet):
    reference = torch.ones(1, 3, 64, 64)
    image, losses = example("loss").approach(-reference, reference, steps=5)
    assert all(loss < float("inf") for loss in losses)
    assert image.isfinite().all() and (image >= -1).all()


class Metric:
    """A stand-in for a metric of pyiqa: maps images and references, (N, 3, H, W) in [0, 1], to (N, 1)."""

    metric_mode = "FR"

    def __init__(self, name: str):
        self.function, self.lower_better = {"mse": (l2, True), "psnr": (psnr, False)}[name]

    def __call__(self, images, references):
        assert images.dtype == torch.float32 and images.shape[1] == 3 and images.max() <= 1
        return self.function(references, images)[:, None]


@pytest.fixture
def pyiqa(monkeypatch):
    """A stand-in for the package pyiqa."""
    monkeypatch.setitem(sys.modules, "pyiqa", SimpleNamespace(create_metric=lambda name, device: Metric(name)))


@pytest.mark.parametrize("name", ["mse", "psnr"])
def test_distances_of_pyiqa_become_a_row(pyiqa, tmp_path, name):
    make_split(tmp_path / "data", split="noise", count=12)
    places = [f"data.root={tmp_path}/data", f"data.packed={tmp_path}/packed", f"experiments={tmp_path}/out"]
    words = ["data=folder", "net=[]", "trained_on=null", "device=cpu", *places]
    words += [f"reference={CONFIGS.parent}/experiments/reference"]
    evaluate(settings("evaluate", *words, "metric=[l2_rgb]"))
    splits = [card.parent for card in (tmp_path / "packed").rglob("card.json")]
    example("pyiqa_distances").main(name, tmp_path / "distances/theirs", splits)
    (tmp_path / "own/metric").mkdir(parents=True)
    (tmp_path / "own/metric/theirs.yaml").write_text(f"theirs:\n  distances: {tmp_path}/distances/theirs\n")
    evaluate(settings("evaluate", *words, "metric=[l2_rgb,theirs]", f"hydra.searchpath=[file://{tmp_path}/own]"))
    with (tmp_path / "out/tables-folder/twoafc.csv").open(newline="") as file:
        rows = {row["label"]: row["noise"] for row in csv.DictReader(file)}
    assert rows["theirs"] == rows["l2-rgb"] != "50.00"
