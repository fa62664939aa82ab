"""Splits whose images are not 64 x 64 are evaluated and trained on."""

import csv
import json

import numpy as np
import pytest

from lpips_repro.errors import UserError
from lpips_repro.evaluation.run import evaluate
from lpips_repro.training import run as run_module
from lpips_repro.training.run import train
from tests.compose import CONFIGS, settings
from tests.datasets.folders import make_split, noise_split

SMALL = ("net=squeeze", "net.squeeze.init=gaussian", "download=false", "bootstrap=20", "device=cpu")


@pytest.fixture
def data(tmp_path):
    """A folder in the layout of BAPPS with images of 48 pixels per side, to be packed at 32."""
    for phase in ("train", "val"):
        make_split(tmp_path / "data", phase=phase, count=6, size=48)
    folder = (f"data.root={tmp_path}/data", f"data.packed={tmp_path}/packed", "data.workers=1")
    return ("data=folder", *folder, "data.size=32", f"experiments={tmp_path}/experiments")


def run(data, tmp_path, *overrides):
    schedule = ("trainer.epochs=1", "trainer.decay_epochs=0", "trainer.batch_size=6")
    train(settings("train", *data, *SMALL, *schedule, f"features={tmp_path}/features", *overrides))


@pytest.mark.parametrize("features", ["true", "false"])
def test_lin_is_trained_and_scored_on_images_of_another_size(data, tmp_path, features):
    run(data, tmp_path, f"trainer.lin_features={features}")
    (folder,) = (tmp_path / "experiments").glob("folder-squeeze-lin-v0.1-seed0-*")
    summary = json.loads((folder / "summary.json").read_text())
    assert set(summary["val_2afc"]) == {"cnn", "mean"}
    assert summary["settings"]["data.size"] == 32
    (packed,) = (tmp_path / "packed/folder/pil_bilinear-32").glob("*/2afc-val-cnn/ref.npy")
    assert np.load(packed).shape == (6, 32, 32, 3)


def test_distances_are_those_of_images_at_the_datasets_size(data, tmp_path):
    """The score of l2-rgb is the one of the images shrunk to 32 x 32, computed here."""
    reference = f"reference={CONFIGS.parent}/experiments/reference"
    few = ("metric=[l2_rgb]", "net=[squeeze]", "variant=[off_the_shelf]", *SMALL[1:], "trained_on=null")
    evaluate(settings("evaluate", *data, *few, reference))
    with (tmp_path / "experiments/tables-folder/twoafc.csv").open(newline="") as file:
        rows = {row["label"]: row for row in csv.DictReader(file)}
    (folder,) = (tmp_path / "packed/folder/pil_bilinear-32").glob("*/2afc-val-cnn")
    ref, p0, p1 = (np.load(folder / f"{name}.npy").astype(float) for name in ("ref", "p0", "p1"))
    judge = np.load(folder / "judge.npy")
    d0, d1 = (((other - ref) ** 2).mean(axis=(1, 2, 3)) for other in (p0, p1))
    expected = 100 * np.where(d0 < d1, 1 - judge, judge).mean()
    assert float(rows["l2-rgb"]["cnn"]) == pytest.approx(expected, abs=0.01)
    assert all(row["cnn"] for label, row in rows.items() if label.startswith("squeeze")), rows


def test_a_network_that_needs_larger_images_says_so_before_anything_is_packed(data, tmp_path):
    with pytest.raises(UserError, match="net=alex: the patches have sides of 16 pixels, and the network"):
        train(settings("train", *data, "net=alex", "net.alex.init=gaussian", "data.size=16", "device=cpu"))
    assert not (tmp_path / "packed").exists()


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((64, 16), "net=alex: the patches have sides of 16 pixels, and the network needs at least 31: choose another"),
        ((64, 64, 96), "data=folder: 2afc/train has images of 64x64, 96x96 pixels: training needs one size"),
    ],
)
def test_splits_that_a_network_cannot_be_trained_on_are_refused(data, tmp_path, monkeypatch, sizes, message):
    """As a dataset that does not say its size may have them: of the first size in val, of the others in train."""
    splits = [noise_split(tmp_path / "0", 2, (sizes[0],) * 2, "val")]
    splits += [noise_split(tmp_path / f"{n}", 2, (size, size), "train") for n, size in enumerate(sizes[1:], 1)]
    monkeypatch.setattr(run_module, "prepare", lambda *args: splits)
    with pytest.raises(UserError, match=message):
        train(settings("train", *data, "net=alex", "net.alex.init=gaussian", "device=cpu", f"features={tmp_path}/f"))
