"""A network of the user's own, from a file to its row in the tables."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lpips_repro.backbones import BACKBONES, check_backbone, register_backbone
from lpips_repro.errors import UserError
from lpips_repro.evaluation.run import evaluate
from lpips_repro.training.run import train
from tests.compose import CONFIGS, settings
from tests.datasets.folders import make_split

# What docs/extending.md shows.
FILE = """
from torch import nn

from lpips_repro.backbones import register_backbone


@register_backbone("{name}", taps=(1, 3), channels=(8, 16), min_size=4)
def layers() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU())
"""
CONFIG = """
{name}:
  module: {file}
  backbone: {name}
  init: gaussian
  supervision: random
"""


@pytest.fixture
def own(tmp_path):
    """A network's file and config outside the package, and overrides that find them."""
    name = "mine-in-a-file"
    (tmp_path / "mine.py").write_text(FILE.format(name=name))
    (tmp_path / "configs/net").mkdir(parents=True)
    (tmp_path / "configs/net/mine.yaml").write_text(CONFIG.format(name=name, file=tmp_path / "mine.py"))
    yield name, (f"hydra.searchpath=[file://{tmp_path}/configs]",)
    BACKBONES.pop(name, None)


def test_a_network_in_a_file_is_registered_trained_and_gets_a_row(own, tmp_path):
    name, found = own
    make_split(tmp_path / "data", phase="train", split="cnn", count=6)
    make_split(tmp_path / "data", split="mine", count=8)
    common = ("data=folder", f"data.root={tmp_path}/data", f"data.packed={tmp_path}/packed", "device=cpu", *found)
    common += (f"experiments={tmp_path}/experiments", "bootstrap=20", "download=false")
    assert name not in BACKBONES

    quick = ("trainer.epochs=1", "trainer.decay_epochs=0", "trainer.batch_size=3", f"features={tmp_path}/features")
    train(settings("train", "net=mine", "variant=lin", *quick, *common))
    assert BACKBONES[name].channels == (8, 16)
    (run,) = (tmp_path / "experiments").glob(f"folder-{name}-lin-v0.1-seed0-*")
    lin = torch.load(run / "weights.pth", weights_only=True)["lin1.model.1.weight"]
    assert lin.shape == (1, 16, 1, 1)

    evaluate(
        settings("evaluate", "net=[mine]", "metric=[]", f"reference={CONFIGS.parent}/experiments/reference", *common)
    )
    with (tmp_path / "experiments/tables-folder/twoafc.csv").open(newline="") as file:
        rows = {(row["method"], row["variant"], row["version"]): row for row in csv.DictReader(file)}
    for variant, version, group in (("off_the_shelf", "0.0", "random"), ("lin", "0.1", "lpips")):
        row = rows[name, variant, version]
        assert row["group"] == group
        assert 0 <= float(row["mine"]) <= 100
    trained = rows[name, "lin", "0.1"]
    assert (trained["run"], trained["seed"]) == (run.name, "0")
    assert json.loads(trained["settings"])["training"]["batch_size"] == 3


def test_an_edited_network_is_another_run_and_a_moved_one_is_the_same(own, tmp_path, caplog):
    name, found = own
    make_split(tmp_path / "data", phase="train", split="cnn", count=6)
    make_split(tmp_path / "data", split="mine", count=8)
    places = (f"data.root={tmp_path}/data", f"data.packed={tmp_path}/packed", f"features={tmp_path}/features")
    quick = ("trainer.epochs=1", "trainer.decay_epochs=0", "trainer.batch_size=3", "bootstrap=20", "download=false")
    common = ("net=mine", "variant=lin", "data=folder", f"experiments={tmp_path}/out", "device=cpu")
    train(settings("train", *common, *places, *quick, *found))
    BACKBONES.pop(name)
    (tmp_path / "moved.py").write_text((tmp_path / "mine.py").read_text())
    moved = f"net.{name}.module={tmp_path}/moved.py"
    with caplog.at_level("INFO"):
        train(settings("train", *common, *places, *quick, *found, moved))
    assert "already finished" in caplog.text
    (tmp_path / "moved.py").write_text(FILE.format(name=name) + "# changed\n")
    with pytest.raises(UserError, match=r"the run that was started there:\n  code of the network: was \w+, is \w+\n"):
        train(settings("train", *common, *places, *quick, *found, moved))


def test_a_file_is_read_once(own, tmp_path):
    name, _ = own
    for _ in range(2):
        check_backbone(name, file=str(tmp_path / "mine.py"))
    assert name in BACKBONES


def test_a_name_that_is_taken_is_refused():
    with pytest.raises(UserError, match="network 'alex' is already registered: give yours another name"):
        register_backbone("alex", taps=(0,), channels=(3,), min_size=1)(torch.nn.Sequential)
    assert len(BACKBONES["alex"].taps) == 5


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none.py: no such file: set `module` of a network"):
        check_backbone("mine", file=str(tmp_path / "none.py"))


def test_a_file_in_the_package_registers_itself(tmp_path):
    package = tmp_path / "lpips_repro"
    shutil.copytree(Path(CONFIGS.parent, "lpips_repro"), package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "backbones/mine.py").write_text(FILE.format(name="mine-in-the-package"))
    script = "from lpips_repro import backbones; print(backbones.__file__, *backbones.BACKBONES)"
    environment = {"PYTHONPATH": str(tmp_path)}
    printed = subprocess.check_output([sys.executable, "-c", script], cwd=tmp_path, text=True, env=environment)
    file, *names = printed.split()
    assert Path(file) == package / "backbones/__init__.py"
    assert {"mine-in-the-package", "alex", "vit_b_16"} <= set(names)
