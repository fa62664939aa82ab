import os
import pickle
from pathlib import Path

import pytest
import torch

from lpips_repro.errors import UserError
from lpips_repro.files.writing import partial_of
from lpips_repro.runs import checkpoint
from lpips_repro.runs.checkpoint import (
    DamagedCheckpoint,
    check_identity,
    load_checkpoint,
    load_latest,
    save_checkpoint,
)
from tests.processes import ended_process
from tests.training.tiny import assert_same

NO_MEMORY = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 1000 bytes"
IDENTITY = {"2afc/train/cnn": "23 triplets aaaa", "initial weights": "bbbb", "device": "cpu"}


@pytest.fixture
def file(tmp_path):
    """A checkpoint of step 1."""
    save_checkpoint(tmp_path / "last.pt", {"identity": IDENTITY, "step": 1})
    return tmp_path / "last.pt"


def test_what_is_saved_is_restored_exactly(tmp_path):
    generator = torch.Generator().manual_seed(3)
    parameter = torch.nn.Parameter(torch.randn(5))
    optimizer = torch.optim.Adam([parameter])
    parameter.sum().backward()
    optimizer.step()
    content = {"identity": IDENTITY, "step": 7, "best": 0.1 + 0.2, "scores": {"mean": 1 / 3}}
    content |= {"optimizer": optimizer.state_dict(), "dropout": generator.get_state(), "weights": {"w": parameter.data}}
    save_checkpoint(tmp_path / "last.pt", content)
    found = load_checkpoint(tmp_path / "last.pt", IDENTITY)
    assert found.pop("format") == checkpoint.FORMAT
    assert_same(found, content)


def test_no_checkpoint_is_none(tmp_path):
    assert load_checkpoint(tmp_path / "last.pt", IDENTITY) is None


def test_a_newer_one_replaces_the_older_and_leaves_nothing_else(file):
    save_checkpoint(file, {"identity": IDENTITY, "step": 2})
    assert load_checkpoint(file, IDENTITY)["step"] == 2
    assert [path.name for path in file.parent.iterdir()] == ["last.pt"]


@pytest.mark.parametrize("moment", ["torch.save", "os.fsync", "replace"])
def test_a_write_that_fails_leaves_the_older_one_and_says_so(file, monkeypatch, moment):
    def fails(*_, **__):
        raise OSError(28, "No space left on device")

    if moment == "torch.save":
        monkeypatch.setattr(torch, "save", fails)
    elif moment == "os.fsync":
        monkeypatch.setattr(os, "fsync", fails)
    else:
        monkeypatch.setattr(type(file), "replace", fails)
    with pytest.raises(UserError, match=r"last.pt: not written \(.*No space left on device.*an older file"):
        save_checkpoint(file, {"identity": IDENTITY, "step": 2})
    monkeypatch.undo()
    assert load_checkpoint(file, IDENTITY)["step"] == 1
    assert [path.name for path in file.parent.iterdir()] == ["last.pt"]


def test_a_disk_that_fills_up_in_the_middle_leaves_the_older_one(file):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    partial_of(file, os.getpid()).symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"last.pt: not written \(No space left on device\): an older file"):
        save_checkpoint(file, {"identity": IDENTITY, "step": 2, "weights": torch.zeros(1 << 20)})
    assert load_checkpoint(file, IDENTITY)["step"] == 1


def test_leftovers_of_a_killed_write_do_not_matter(file):
    partial_of(file, ended_process()).write_bytes(file.read_bytes()[:100])
    assert load_checkpoint(file, IDENTITY)["step"] == 1
    save_checkpoint(file, {"identity": IDENTITY, "step": 2})
    assert load_checkpoint(file, IDENTITY)["step"] == 2


def test_a_changed_dataset_is_refused_with_every_difference_shown(file):
    now = {"2afc/train/cnn": "23 triplets cccc", "2afc/train/mix": "5 triplets dddd", "device": "cpu"}
    with pytest.raises(UserError) as error:
        load_checkpoint(file, now)
    assert str(error.value).splitlines() == [
        f"{file.parent}: not the run that was started there:",
        "  2afc/train/cnn: was 23 triplets aaaa, is 23 triplets cccc",
        "  initial weights: was bbbb, is absent",
        "  2afc/train/mix: was absent, is 5 triplets dddd",
        "restore what it was started with, or set experiments=FOLDER for a new run",
    ]


def test_the_same_identity_in_another_order_is_the_same(file):
    check_identity(file.parent, IDENTITY, dict(reversed(IDENTITY.items())))


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", pickle.dumps([1, 2], protocol=2)])
def test_a_file_of_another_kind_is_damaged(file, content):
    file.write_bytes(content)
    with pytest.raises(DamagedCheckpoint, match=r"last.pt: not a readable checkpoint \(\w+\)$"):
        load_checkpoint(file, IDENTITY)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_damaged(file, share):
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    with pytest.raises(DamagedCheckpoint, match="not a readable checkpoint"):
        load_checkpoint(file, IDENTITY)


@pytest.mark.parametrize("content", [[1, 2], {"step": 1}, {"identity": IDENTITY}])
def test_a_torch_file_that_is_no_checkpoint_is_damaged(file, content):
    torch.save(content, file)
    with pytest.raises(DamagedCheckpoint, match="not a readable checkpoint"):
        load_checkpoint(file, IDENTITY)


def test_a_checkpoint_of_another_format_is_an_error_that_names_both(file, monkeypatch):
    monkeypatch.setattr(checkpoint, "FORMAT", 99)
    before = file.read_bytes()
    with pytest.raises(UserError, match=r"last.pt: a checkpoint of format \d+, expected 99: use the version of"):
        load_latest(file.parent, IDENTITY)
    assert file.read_bytes() == before


class _Evil:
    """Runs code where a pickle of it is opened without care."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_no_code_in_a_file_is_run(file):
    marker = file.parent / "was run"
    torch.save({"identity": IDENTITY, "format": checkpoint.FORMAT, "evil": _Evil(marker)}, file)
    with pytest.raises(DamagedCheckpoint, match="not a readable checkpoint"):
        load_checkpoint(file, IDENTITY)
    assert not marker.exists()


@pytest.mark.parametrize("damage", ["cut", "missing"])
def test_for_a_last_checkpoint_that_is_not_whole_the_best_one_takes_its_place(file, caplog, damage):
    save_checkpoint(file.with_name("best.pt"), {"identity": IDENTITY, "step": 0})
    cut = file.read_bytes()[:100]
    file.unlink()
    if damage == "cut":
        file.write_bytes(cut)
    assert load_latest(file.parent, IDENTITY)["step"] == 0
    assert load_checkpoint(file, IDENTITY)["step"] == load_checkpoint(file.with_name("best.pt"), IDENTITY)["step"] == 0
    assert "last.pt: missing or damaged: replaced by best.pt, of step 0" in caplog.text
    kept = file.with_name("last.pt.damaged")
    assert kept.is_file() == (damage == "cut")
    if damage == "cut":
        assert kept.read_bytes() == cut
        assert "last.pt: not a readable checkpoint (" in caplog.text
        assert "kept as last.pt.damaged" in caplog.text


def test_a_best_checkpoint_of_another_identity_takes_no_place(file):
    save_checkpoint(file.with_name("best.pt"), {"identity": IDENTITY | {"device": "cuda"}, "step": 0})
    file.write_bytes(b"")
    with pytest.raises(UserError, match="device: was cuda, is cpu"):
        load_latest(file.parent, IDENTITY)
    assert file.with_name("last.pt.damaged").is_file()


def test_without_a_whole_checkpoint_the_run_begins_again_and_all_are_kept(file, caplog):
    for name in ("last.pt", "best.pt", "last.pt.damaged"):
        file.with_name(name).write_bytes(name.encode())
    assert load_latest(file.parent, IDENTITY) is None
    kept = {path.name: path.read_bytes() for path in file.parent.iterdir()}
    assert kept == {
        "last.pt.damaged": b"last.pt.damaged", "last.pt.damaged-2": b"last.pt", "best.pt.damaged": b"best.pt"
    }  # fmt: skip
    assert "no complete checkpoint is left: the run starts again" in caplog.text


def test_a_complete_last_checkpoint_is_used_without_a_message(file, caplog):
    save_checkpoint(file.with_name("best.pt"), {"identity": IDENTITY, "step": 0})
    assert load_latest(file.parent, IDENTITY)["step"] == 1
    assert caplog.text == ""


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), MemoryError(), RuntimeError(NO_MEMORY)])
def test_a_checkpoint_that_cannot_be_read_now_is_not_treated_as_damaged(file, monkeypatch, error):
    def fails(*_, **__):
        raise error

    before = file.read_bytes()
    monkeypatch.setattr(torch, "load", fails)
    with pytest.raises(UserError, match=r"last.pt: cannot be read now .*: the file is unchanged: try again"):
        load_latest(file.parent, IDENTITY)
    assert file.read_bytes() == before
