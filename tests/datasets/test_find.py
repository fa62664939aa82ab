"""A split by its folder or its name."""

import multiprocessing
import os
import subprocess
import sys

import numpy as np
import pytest

from lpips_repro.datasets.find import find_split
from lpips_repro.errors import UserError
from tests.compose import CONFIGS
from tests.datasets.folders import make_split, noise_split
from tests.processes import PATIENCE


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_split_and_the_folder_of_a_packed_one_are_that_split(tmp_path):
    split = noise_split(tmp_path / "split", 3, (8, 8))
    assert find_split(split, "2afc") is split
    assert find_split(str(tmp_path / "split"), "2afc").card == split.card


def test_a_folder_in_the_layout_is_packed_once(tmp_path):
    folder, images, votes = make_split(tmp_path / "data", split="mine", count=3)
    found = find_split(folder, "2afc")
    assert found.name == "2afc/val/mine"
    assert found.path.is_relative_to(tmp_path / "data/packed/folder/pil_bilinear") or not found.path.is_absolute()
    np.testing.assert_array_equal(found.arrays["p1"], images["p1"])
    np.testing.assert_array_equal(found.votes, votes)
    written = (found.path / "card.json").stat().st_mtime_ns
    assert find_split(folder, "2afc").path == found.path
    assert (found.path / "card.json").stat().st_mtime_ns == written


def test_a_script_without_the_usual_line_packs_a_folder(tmp_path):
    """Processes would import it, and wait for each other."""
    folder, *_ = make_split(tmp_path / "data", count=2)
    script = tmp_path / "script.py"
    script.write_text(f"from lpips_repro.datasets.find import find_split\nprint(find_split('{folder}', '2afc').name)\n")
    environment = os.environ | {"PYTHONPATH": str(CONFIGS.parent)}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=PATIENCE, env=environment)
    assert (done.returncode, done.stdout) == (0, "2afc/val/cnn\n"), done.stderr


def test_a_process_that_imports_the_script_makes_no_dataset(monkeypatch):
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    with pytest.raises(
        UserError, match=r'it is made in several processes: put the call under `if __name__ == "__main__":`'
    ):
        find_split("mini/val/cnn", "2afc")


def test_its_place_tells_kind_and_phase_and_elsewhere_the_caller_does(tmp_path):
    folder, *_ = make_split(tmp_path / "data", kind="jnd", phase="train", split="mine", count=3)
    assert find_split(folder, "2afc").name == "jnd/train/mine"
    elsewhere = folder.rename(tmp_path / "elsewhere")
    assert find_split(elsewhere, "jnd").name == "jnd/val/elsewhere"


def test_splits_of_one_name_in_two_places_are_two(tmp_path):
    for seed, place in enumerate(("one", "two")):
        make_split(tmp_path / place / "data", split="mine", count=3, seed=seed)[0].rename(tmp_path / place / "mine")
    one, two = (find_split(tmp_path / place / "mine", "2afc") for place in ("one", "two"))
    assert one.path != two.path and one.card["digest"] != two.card["digest"]


def test_the_folder_of_a_dataset_is_refused_with_a_split_of_it(tmp_path):
    folder, *_ = make_split(tmp_path / "data", count=1)
    with pytest.raises(UserError, match=f"data: a dataset: choose one of its splits, such as {folder}"):
        find_split(tmp_path / "data", "2afc")


def test_a_name_is_of_a_dataset_with_a_file_of_settings(tmp_path, monkeypatch):
    splits = [noise_split(tmp_path / phase, 1, (8, 8), phase) for phase in ("train", "val")]
    monkeypatch.setattr(
        "lpips_repro.datasets.mini.dataset.Mini.prepare",
        lambda self, phases: [split for split in splits if split.card["phase"] in phases],
    )
    assert find_split("mini/train/noise", "2afc") is splits[0]
    with pytest.raises(UserError, match="mini/val/nois: mini has no such 2afc split: expected one of noise"):
        find_split("mini/val/nois", "2afc")
    with pytest.raises(UserError, match="mini/val/noise: mini has no such jnd split"):
        find_split("mini/val/noise", "jnd")


@pytest.mark.parametrize("name", ["minni/val/cnn", "mini/test/cnn", "mini/val", "mini", "folder/val/cnn"])
def test_what_is_neither_a_folder_nor_a_name_is_refused_with_the_datasets(name):
    with pytest.raises(UserError, match=f"^{name}: neither a folder nor the name of a split: .* bapps, kad"):
        find_split(name, "2afc")


def test_of_bapps_nothing_is_downloaded(tmp_path):
    (tmp_path / "experiments").symlink_to(CONFIGS.parent / "experiments")  # has the digests of its judgments
    with pytest.raises(UserError, match="no packed split of val: run `make data SPLITS=val`"):
        find_split("bapps/val/cnn", "2afc")
