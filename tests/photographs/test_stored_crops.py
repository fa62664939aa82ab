import json
import os

import numpy as np
import pytest
from PIL import Image

from lpips_repro.errors import UserError
from lpips_repro.photographs import crops as crops_module
from lpips_repro.photographs import stored_crops as module
from lpips_repro.photographs.stored_crops import stored_crops
from tests.datasets.killed import die
from tests.photographs.written import load_crops, write_photographs


@pytest.fixture
def few(monkeypatch):
    """Fewer crops, for folders with few photographs."""
    monkeypatch.setitem(crops_module.LEAST_CROPS, "train", 30)
    monkeypatch.setitem(crops_module.LEAST_CROPS, "held_out", 6)


def same(left, right):
    return left.digest == right.digest and all(map(np.array_equal, left[:2], right[:2]))


def store(folder, size=24):
    """The stored crops of the photographs of a folder."""
    return stored_crops(folder / "photographs", size, folder / "store", workers=1)


def test_stored_crops_equal_crops_in_memory(few, tmp_path):
    write_photographs(tmp_path / "photographs", 12)
    stored = store(tmp_path)
    assert isinstance(stored.train, np.memmap)
    assert same(stored, load_crops(tmp_path / "photographs", 24))


def test_photographs_are_decoded_once(few, tmp_path, monkeypatch):
    write_photographs(tmp_path / "photographs", 12)
    stored = store(tmp_path)
    monkeypatch.setattr(module, "fill_crops", None)
    assert same(stored, store(tmp_path))


@pytest.mark.parametrize("change", ["content", "new", "size"])
def test_photographs_are_decoded_again_if_something_has_changed(few, tmp_path, change):
    files = write_photographs(tmp_path / "photographs", 12)
    before = store(tmp_path)
    if change == "content":
        Image.new("RGB", (90, 70)).save(files[0])
    elif change == "new":
        Image.new("RGB", (90, 70)).save(files[0].with_name("zzz.png"))
    size = 25 if change == "size" else 24
    after = store(tmp_path, size)
    assert same(after, load_crops(tmp_path / "photographs", size))
    assert not same(after, before)


def test_photographs_that_cannot_be_used_are_named_and_the_crops_are_those_of_a_folder_without_them(
    few, tmp_path, caplog
):
    files = write_photographs(tmp_path / "photographs", 12)
    for file in files:
        file.rename(file.with_name(f"n{file.name}"))
    files = [file.with_name(f"n{file.name}") for file in files]
    without = load_crops(tmp_path / "photographs", 24)
    unusable = {
        "cut.png": files[1].read_bytes()[:300],
        "empty.jpg": b"",
        "text.webp": b"no image",
    }
    for name, content in unusable.items():
        (tmp_path / "photographs" / name).write_bytes(content)
    Image.fromarray(np.full((40, 40), 1000, np.uint16)).save(tmp_path / "photographs/class1/deep.png")
    Image.new("RGB", (400, 15)).save(tmp_path / "photographs/class1/tiny.png")
    for _ in range(2):
        stored = store(tmp_path)
        assert same(stored, without)
        assert stored.left_out["class1/deep.png"] == "more than 8 bits per channel"
        assert stored.left_out["class1/tiny.png"] == "less than 16 pixels per side"
        assert set(stored.left_out) == {*unusable, "class1/deep.png", "class1/tiny.png"}
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    (folder,) = (tmp_path / "store").iterdir()
    assert len(warnings) == 2
    assert warnings[0].startswith(f"5 photographs left out (full list: {folder}/card.json): ")
    assert "class1/tiny.png: less than 16 pixels per side" in warnings[0]
    assert json.loads((folder / "card.json").read_text())["left_out"] == stored.left_out


def test_one_usable_photograph_is_not_enough(few, tmp_path):
    files = write_photographs(tmp_path / "photographs", 3)
    for file in files[1:]:
        file.write_bytes(b"no image")
    for _ in range(2):
        with pytest.raises(UserError, match=r"1 photographs .* can be used: .*: left out: class0/002.png"):
            store(tmp_path)


def test_a_photograph_is_used_when_its_permissions_allow_it_again(few, tmp_path, monkeypatch):
    files = write_photographs(tmp_path / "photographs", 12)
    whole, content = load_crops(tmp_path / "photographs", 24), files[5].read_bytes()
    times = files[5].stat()
    files[5].write_bytes(bytes(len(content)))
    with monkeypatch.context() as patch:
        patch.setattr(module.os, "access", lambda file, _: file != files[5])
        assert len(store(tmp_path).left_out) == 1
    files[5].write_bytes(content)
    os.utime(files[5], ns=(times.st_atime_ns, times.st_mtime_ns))
    assert same(store(tmp_path), whole)


def test_a_photograph_of_mini_that_cannot_be_read_is_an_error(few, tmp_path, monkeypatch):
    files = write_photographs(tmp_path / "photographs", 3)
    files[1].write_bytes(b"no image")
    monkeypatch.setattr(crops_module, "PHOTOGRAPHS", {"train": files[:2], "val": files[2:]})
    with pytest.raises(UserError, match=f"{files[1].name}: not a readable image"):
        stored_crops(None, 24, tmp_path / "store", workers=1)


def test_a_full_disk_is_an_error_and_leaves_nothing(few, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "posix_fallocate", full)
    write_photographs(tmp_path / "photographs", 12)
    with pytest.raises(UserError, match=r"No space left on device: free some space, or set store=FOLDER"):
        store(tmp_path)
    assert list((tmp_path / "store").rglob("*.npy")) == []


@pytest.mark.slow
def test_workers_give_the_same_crops_and_name_what_cannot_be_read(few, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 3)
    files = write_photographs(tmp_path / "photographs", 12)
    one = stored_crops(tmp_path / "photographs", 24, tmp_path / "store1", workers=1)
    assert same(one, stored_crops(tmp_path / "photographs", 24, tmp_path / "store2", workers=2))
    files[5].write_bytes(b"no image")
    found = stored_crops(tmp_path / "photographs", 24, tmp_path / "store2", workers=2)
    assert [*found.left_out] == [files[5].relative_to(tmp_path / "photographs").as_posix()]
    files[5].unlink()
    assert same(found, load_crops(tmp_path / "photographs", 24))


@pytest.mark.parametrize("damage", ["cut", "missing", "card", "deep", "header"])
def test_stored_crops_that_are_damaged_are_kept_and_made_again(few, tmp_path, damage, caplog):
    write_photographs(tmp_path / "photographs", 12)
    whole = store(tmp_path)
    (folder,) = (tmp_path / "store").iterdir()
    file = folder / ("card.json" if damage in ("card", "deep") else "held_out.npy")
    content = {"deep": b"[" * 100_000, "header": b"\x93NUMPY\x01\x00\x28\x23" + b"(" * 9000}.get(
        damage, file.read_bytes()[:70]
    )
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(content)
    found = store(tmp_path)
    assert found.digest == load_crops(tmp_path / "photographs", 24).digest == whole.digest
    assert same(found, load_crops(tmp_path / "photographs", 24))
    assert damage == "missing" or (folder / f"{file.name}.damaged").read_bytes() == content
    assert f"{folder}: damaged: kept as " in caplog.text


def test_a_killed_worker_is_one_line_that_names_the_setting_and_leaves_nothing_that_looks_complete(
    few, tmp_path, monkeypatch
):
    write_photographs(tmp_path / "photographs", 12)
    with monkeypatch.context() as patch:
        patch.setattr(module, "CHUNK", 2)
        patch.setattr(module, "_fill", die)
        with pytest.raises(UserError, match=r"a worker process was killed, .*\(workers=1\)$"):
            stored_crops(tmp_path / "photographs", 24, tmp_path / "store", workers=2)
    stored = store(tmp_path)
    assert same(stored, load_crops(tmp_path / "photographs", 24))


def test_complete_crops_are_opened_without_a_lock(few, tmp_path, monkeypatch):
    write_photographs(tmp_path / "photographs", 12)
    stored = store(tmp_path)
    monkeypatch.setattr(module, "exclusive", None)
    assert same(stored, store(tmp_path))
