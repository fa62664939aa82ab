"""One process at a time in a folder, and what killed ones leave in it."""

import pytest
from filelock import FileLock

from lpips_repro.datasets.packed import IMAGE_FIELDS, leftovers
from lpips_repro.files import locks
from lpips_repro.files.locks import clear_leftovers, exclusive

LEFT = (".2afc-val-cnn.partial-123", ".jnd-val-my split.old-9", ".twoafc_val.tar.gz.spool", ".jnd.tar.gz.unpack")
MINE = (".photos.old-2024", ".x.partial-1", ".2afc-val-cnn.old-photos", "2afc-val-cnn.old-1", ".backup.spool", ".git")


@pytest.fixture
def folder(tmp_path):
    for name in (*LEFT, *MINE):
        (tmp_path / "folder" / name / "inside").mkdir(parents=True)
    (tmp_path / "folder/.2afc-val-cnn.old-7").write_text("a file")
    return tmp_path / "folder"


def left(folder):
    return {path.name for path in folder.iterdir()} - {".lock", ".2afc-val-cnn.old-7"}


def test_leftovers_and_nothing_else_are_removed_under_the_lock(folder):
    with exclusive(folder, leftovers=leftovers()):
        assert left(folder) == set(MINE)


def test_leftovers_and_nothing_else_are_cleared_without_waiting(folder):
    clear_leftovers(folder, leftovers())
    assert left(folder) == set(MINE)
    assert (folder / ".2afc-val-cnn.old-7").is_file()


def test_what_a_living_process_is_making_is_left_alone(folder):
    with FileLock(folder / ".lock"):
        clear_leftovers(folder, leftovers())
    assert left(folder) == {*LEFT, *MINE}


def test_leftovers_that_cannot_be_removed_do_no_harm(folder, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(locks.shutil, "rmtree", refuse)
    clear_leftovers(folder, leftovers())


def test_nothing_is_written_if_nothing_is_left(tmp_path):
    clear_leftovers(tmp_path, leftovers())
    clear_leftovers(tmp_path / "absent", leftovers())
    assert list(tmp_path.iterdir()) == []


def test_one_folder_by_two_names_is_locked_once(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    with exclusive(tmp_path, tmp_path / "link", tmp_path / "x/.."):
        assert (tmp_path / ".lock").is_file()


def test_what_is_left_of_splits_of_a_new_kind_is_removed_too(tmp_path, monkeypatch):
    (tmp_path / ".rating-val-mine.partial-1").mkdir()
    clear_leftovers(tmp_path, leftovers())
    assert left(tmp_path) == {".rating-val-mine.partial-1"}
    monkeypatch.setitem(IMAGE_FIELDS, "rating", ("p0", "p1"))
    clear_leftovers(tmp_path, leftovers())
    assert left(tmp_path) == set()
