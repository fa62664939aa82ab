"""What is complete and only read needs no permission to write."""

import pytest

from lpips_repro.config import DatasetConfig, parse
from lpips_repro.datasets.prepare import prepare
from lpips_repro.errors import UserError
from lpips_repro.evaluation.run import evaluate
from lpips_repro.files import locks
from tests.compose import settings
from tests.datasets.folders import make_split
from tests.datasets.read_only import run_read_only
from tests.datasets.small_bapps import prepare_phases, small_settings


def folder_words(tmp_path):
    return [
        *("data=folder", f"data.root={tmp_path}/data", f"data.packed={tmp_path}/packed", "data.workers=1"),
        *("metric=[l2_rgb]", "net=[]", "bootstrap=10", f"experiments={tmp_path}/experiments", "device=cpu"),
    ]


def test_what_is_read_only_cannot_be_written_to(tmp_path):
    """Or the tests below would show nothing."""
    (tmp_path / "folder").mkdir()
    ended = run_read_only("-c", f"open('{tmp_path}/folder/x', 'w')", folders=[tmp_path / "folder"])
    assert "PermissionError" in ended.stderr


def test_a_complete_folder_dataset_and_stored_distances_that_are_read_only_are_evaluated(tmp_path):
    make_split(tmp_path / "data")
    words = folder_words(tmp_path)
    evaluate(settings("evaluate", *words))
    for file in (tmp_path / "packed").rglob(".lock"):
        file.unlink()
    folders = [tmp_path / "packed", tmp_path / "experiments/distances"]
    ended = run_read_only("scripts/evaluate.py", *words, folders=folders)
    assert ended.returncode == 0, ended.stderr
    assert "nothing computed" in ended.stdout


def test_what_is_missing_in_a_read_only_folder_is_one_line_with_the_remedy(tmp_path):
    make_split(tmp_path / "data")
    words = [word for word in folder_words(tmp_path) if word.startswith("data")]
    (tmp_path / "packed").mkdir()
    ended = run_read_only("scripts/data.py", *words, folders=[tmp_path / "packed"])
    assert ended.returncode == 1
    last = ended.stderr.splitlines()[-1]
    assert last.startswith(f"error: {tmp_path}/packed/folder/pil_bilinear/")
    assert last.endswith(
        ": not writable (Permission denied), and something in it is missing or has changed: make it writable, or choose"
        " another folder"
    )
    assert "Traceback" not in ended.stderr


@pytest.fixture
def unlockable(monkeypatch):
    """From its call on, no lock can be taken."""

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    return lambda: monkeypatch.setattr(locks.FileLock, "acquire", refuse)


def test_a_complete_mini_dataset_is_opened_without_a_lock(tmp_path, unlockable):
    sizes = {"seed": 0, "train": 2, "val": 2, "jnd": 2, "autoencoders": 2, "autoencoder_steps": 1, "workers": 1}
    words = ["data=mini", f"data.root={tmp_path}", *(f"data.{name}={size}" for name, size in sizes.items())]
    made = prepare(parse(settings("dataset", *words), DatasetConfig).data, "val")
    unlockable()
    found = prepare(parse(settings("dataset", *words), DatasetConfig).data, "val")
    assert [split.card for split in found] == [split.card for split in made]
    with pytest.raises(UserError, match=f"^{tmp_path}/.*: not writable"):
        prepare(parse(settings("dataset", *words, "data.val=3"), DatasetConfig).data, "val")


def test_a_complete_bapps_is_opened_without_a_lock(mirror, tmp_path, unlockable):
    cfg = parse(small_settings(str(mirror), tmp_path / "data", "splits=val"), DatasetConfig)
    made = prepare_phases(cfg)
    unlockable()
    assert [split.card for split in prepare_phases(cfg)] == [split.card for split in made]
