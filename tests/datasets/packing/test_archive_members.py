import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from lpips_repro.datasets.packing import archive_members
from lpips_repro.datasets.packing.archive_members import LONGEST_NAME, ArchiveError, HashingReader, read_members
from tests.datasets.archives import write_archive
from tests.datasets.memory import in_new_process, memory_at_most


def test_what_is_read_is_hashed_and_counted_on_a_bar_that_ends(tmp_path, monkeypatch):
    bars = []
    progress = archive_members.Progress

    def bar(**options):
        bars.append(progress(**options | {"disable": False}))
        return bars[0]

    monkeypatch.setattr(archive_members, "Progress", bar)
    (tmp_path / "a").write_bytes(b"x" * 5000)
    with (tmp_path / "a").open("rb") as file, HashingReader(file, 5000, "a.tar.gz", "checking") as reader:
        assert len(reader.read(3000)) == 3000
        assert bars[0].n == 3000
        assert len(reader.read()) == 2000
    assert reader.sha256.hexdigest() == hashlib.sha256(b"x" * 5000).hexdigest()
    assert (bars[0].desc, bars[0].total, bars[0].n) == ("checking a.tar.gz", 5000, 5000)
    assert bars[0].disable  # as tqdm marks a bar that is closed


def read(path):
    with path.open("rb") as file:
        return [member.path for member in read_members(file, path, "")]


def read_many_long_names():
    names = (f"{index:06d}😀".ljust(LONGEST_NAME, "x") for index in range(10_000))
    content = b"".join(tarfile.TarInfo(name).tobuf(tarfile.GNU_FORMAT) for name in names) + bytes(1024)
    zipped = io.BytesIO(gzip.compress(content, 1))
    del content
    with memory_at_most(6_000_000):
        assert list(read_members(zipped, Path("a.tar.gz"), "")) == []


def test_many_files_with_long_names_take_little_memory():
    """A million files, the most there may be, take 150 MB at this rate."""
    in_new_process(read_many_long_names)


@pytest.mark.parametrize("name", ["n" * (LONGEST_NAME + 1), "val/" + "n" * 60_000 + ".png"])
def test_a_long_name_is_refused_and_shortened_in_the_message(tmp_path, name):
    path = write_archive(tmp_path / "a.tar.gz", [(name, b"x")])
    with pytest.raises(ArchiveError, match=rf"a.tar.gz: member '{name[:40]}'\.\.\. .* {len(name)} characters") as error:
        read(path)
    assert str(error.value).endswith(f"at most {LONGEST_NAME} allowed: refused")
    assert len(str(error.value)) < 300


def test_more_files_than_any_archive_has_are_refused(tmp_path, monkeypatch):
    path = write_archive(tmp_path / "a.tar.gz", [("a", b""), ("b", b""), ("c", b"")])
    assert read(path) == []
    monkeypatch.setattr(archive_members, "MOST_FILES", 2)
    with pytest.raises(ArchiveError, match=r"a.tar.gz: more than 2 files: refused"):
        read(path)


def test_more_splits_than_any_archive_has_are_refused(tmp_path, monkeypatch):
    names = [f"2afc/val/{split}/ref/0.png" for split in "abc"]
    path = write_archive(tmp_path / "a.tar.gz", [(name, b"") for name in names])
    assert read(path) == names
    monkeypatch.setattr(archive_members, "MOST_SPLITS", 2)
    with pytest.raises(ArchiveError, match=r"'2afc/val/c/ref/0.png': more than 2 splits: refused"):
        read(path)


def test_a_large_file_outside_the_layout_is_skipped_unread(tmp_path, caplog):
    video, image = ("2afc/val/README.mp4", bytes(50_000_000)), ("2afc/val/cnn/ref/0.png", b"x")
    path = write_archive(tmp_path / "a.tar.gz", [video, image])
    with memory_at_most(5_000_000):
        assert read(path) == ["2afc/val/cnn/ref/0.png"]
    assert "skipped 1 files" in caplog.text


def test_folders_come_as_often_as_they_like(tmp_path):
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for _ in range(2):
            folder = tarfile.TarInfo("2afc/val")
            folder.type = tarfile.DIRTYPE
            tar.addfile(folder)
    assert read(path) == []


def test_a_damaged_header_is_reported_as_damage_though_the_crc_is_right(tmp_path):
    path = write_archive(tmp_path / "a.tar.gz", [(f"2afc/val/cnn/ref/{index}.png", b"x") for index in range(5)])
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[3 * 1024] ^= 1  # the third name
    path.write_bytes(gzip.compress(content))
    with pytest.raises(ArchiveError, match=r"a.tar.gz: damaged or truncated \(bad checksum\)"):
        read(path)
