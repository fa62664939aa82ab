import contextlib
import os
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from lpips_repro.files import (
    finish_writing,
    keep_damaged,
    naming,
    new_file,
    set_aside,
    write_csv,
    write_picture,
    write_whole,
    written_together,
)
from lpips_repro.files.writing import partial_of
from lpips_repro.report.figures import save_figure
from tests.processes import ended_process


@pytest.mark.parametrize("content", ["new\n", b"new\n"])
def test_a_whole_file_takes_the_place_of_the_older_one_and_leaves_nothing_else(tmp_path, content):
    (tmp_path / "a").write_text("old, and longer")
    write_whole(tmp_path / "a", content)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"new\n"}


@pytest.mark.parametrize("moment", ["block", "os.fsync", "replace"])
def test_an_error_at_any_moment_leaves_the_older_file(tmp_path, monkeypatch, moment):
    def fails(*_):
        raise OSError(28, "No space left on device")

    (tmp_path / "a").write_text("old")
    if moment != "block":
        monkeypatch.setattr(*((os, "fsync") if moment == "os.fsync" else (Path, "replace")), fails)
    with pytest.raises(OSError, match="No space"), new_file(tmp_path / "a") as file:
        file.write(b"new")
        if moment == "block":
            fails()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "old"}


def test_a_full_disk_leaves_what_was_written_before_as_a_whole(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    write_whole(tmp_path / "a", "old")
    monkeypatch.setattr(os, "fsync", full)
    for name in ("a", "b"):
        with pytest.raises(OSError, match="No space"):
            write_whole(tmp_path / name, "new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "old"}


def test_who_reads_while_a_file_is_written_whole_sees_the_old_content_or_the_new_one(tmp_path):
    contents = {letter * 2_000_000 for letter in "ab"}
    write_whole(tmp_path / "a", "a" * 2_000_000)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(lambda: [write_whole(tmp_path / "a", text) for text in [*contents] * 10])
        seen = []
        while not writing.done():
            seen.append((tmp_path / "a").read_text() in contents)
        writing.result()
    assert seen and all(seen)


def test_the_older_file_is_there_until_the_new_one_is_complete(tmp_path):
    (tmp_path / "a").write_text("old")
    with new_file(tmp_path / "a") as file:
        file.write(b"new")
        file.flush()
        assert (tmp_path / "a").read_text() == "old"


def test_what_a_killed_process_left_is_removed_and_what_a_running_one_writes_is_not(tmp_path):
    killed, running = partial_of(tmp_path / "a", ended_process()), partial_of(tmp_path / "a", os.getppid())
    other = tmp_path / ".a.partial-another-host-1"
    for path in (killed, running, other):
        path.write_text("half")
    write_whole(tmp_path / "a", "new")
    assert {path.name for path in tmp_path.iterdir()} == {"a", running.name, other.name}


def test_what_is_set_aside_overwrites_nothing(tmp_path):
    names = []
    for text in ("one", "two", "three"):
        (tmp_path / "a").write_text(text)
        names.append(set_aside(tmp_path / "a").name)
    assert names == ["a.damaged", "a.damaged-2", "a.damaged-3"]
    assert [(tmp_path / name).read_text() for name in names] == ["one", "two", "three"]


def test_of_damaged_files_those_that_exist_are_kept_and_named_in_one_warning(tmp_path, caplog):
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for path in (paths[0], paths[2]):
        path.write_text(path.name)
    keep_damaged(*paths, said=f"{tmp_path}: damaged", then="made again")
    assert texts(tmp_path) == {"a.damaged": "a", "c.damaged": "c"}
    assert caplog.messages == [f"{tmp_path}: damaged: kept as a.damaged, c.damaged, and made again"]


def old(folder):
    folder.mkdir()
    (folder / "a.csv").write_text("old")
    (folder / "b.csv").write_text("old")
    (folder / "log").write_text("log")
    return folder


def texts(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def test_files_written_together_all_appear(tmp_path):
    folder = old(tmp_path / "tables")
    with written_together(folder) as new:
        (new / "a.csv").write_text("new")
        (new / "c.csv").write_text("new")
        (new / "b.csv").touch()  # is removed
    assert texts(folder) == {"a.csv": "new", "c.csv": "new", "log": "log"}
    assert [path.name for path in folder.iterdir() if path.is_dir()] == []


def test_files_written_together_do_not_appear_after_an_error(tmp_path):
    folder = old(tmp_path / "tables")
    with pytest.raises(OSError, match="full"), written_together(folder) as new:
        (new / "a.csv").write_text("new")
        raise OSError("full")
    assert texts(folder) == {"a.csv": "old", "b.csv": "old", "log": "log"}
    assert [path.name for path in folder.iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_a_kill_while_they_are_moved_is_made_good_by_the_next_reader(tmp_path, moved, monkeypatch):
    folder, count = old(tmp_path / "tables"), []
    replace = Path.replace

    def killed(self, target):
        if len(count) == moved:
            raise KeyboardInterrupt
        count.append(self)
        return replace(self, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt), written_together(folder) as new:
        for name in ("a.csv", "b.csv", "c.csv"):
            (new / name).write_text("new")
        patch.setattr(Path, "replace", killed)
    finish_writing(folder)
    assert texts(folder) == {"a.csv": "new", "b.csv": "new", "c.csv": "new", "log": "log"}


@contextlib.contextmanager
def no_room():
    """A context in which no file can be longer than 1000 bytes, which is an error of `write` as of a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


NOISE = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
WRITERS = {
    "a.txt": lambda path: write_whole(path, "new" * 1000),
    "a.csv": lambda path: write_csv(path, [{"x": "new" * 1000}]),
    "a.png": lambda path: write_picture(path, Image.fromarray(NOISE)),
    "a.svg": lambda path: save_figure(Figure(), path.parent, "a", ("svg",)),
}


@pytest.mark.parametrize("name", WRITERS)
def test_an_error_of_a_full_disk_names_the_file_and_leaves_the_older_one(tmp_path, name):
    (tmp_path / name).write_text("old")
    with no_room(), pytest.raises(OSError, match="File too large") as found:
        WRITERS[name](tmp_path / name)
    assert found.value.filename == str(tmp_path / name)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {name: "old"}


def test_an_error_of_a_full_disk_names_the_file_of_several_by_its_final_name_or_their_folder(tmp_path):
    for write, named in [
        (lambda file: write_whole(file, "new" * 1000), "x/a"),
        (lambda f: f.write_text("new" * 999), "x"),
    ]:
        with (
            no_room(),
            pytest.raises(OSError, match="File too large") as found,
            written_together(tmp_path / "x") as new,
        ):
            write(new / "a")
        assert found.value.filename == str(tmp_path / named)
    assert [*(tmp_path / "x").iterdir()] == []


def test_an_error_that_names_another_file_is_unchanged(tmp_path):
    with pytest.raises(FileNotFoundError) as found, naming(tmp_path / "a"):
        (tmp_path / "b").read_text()
    assert found.value.filename == str(tmp_path / "b")
