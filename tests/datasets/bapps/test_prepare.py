import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock

from lpips_repro.config import DatasetConfig, parse
from lpips_repro.datasets.bapps.local_archives import local_archives
from lpips_repro.datasets.bapps.published import ARCHIVES, COUNTS
from lpips_repro.datasets.packed import patch_bytes
from lpips_repro.datasets.registry import dataset_of
from lpips_repro.download.fetch import fetch_archive
from lpips_repro.errors import UserError
from tests.compose import CONFIGS
from tests.datasets.archives import members, npy, write_archive, write_tar
from tests.datasets.server import Step, serve
from tests.datasets.small_bapps import FEW, SMALL, prepare_phases, small_settings
from tests.processes import PATIENCE

REPOSITORY = CONFIGS.parent
PATCH_BYTES = patch_bytes(64)


def prepare(mirror, folder, *overrides):
    return prepare_phases(parse(small_settings(mirror, folder, *overrides), DatasetConfig))


def digests(splits):
    return {split.name: split.card["digest"] for split in splits}


def test_all_splits_come_in_the_papers_order_with_their_cards(mirror, tmp_path):
    splits = prepare(mirror, tmp_path / "data")
    assert [split.name for split in splits] == [
        *(f"2afc/train/{name}" for name in ("traditional", "cnn", "mix")),
        *(f"2afc/val/{name}" for name in ("traditional", "cnn", "superres", "deblur", "color", "frameinterp")),
        *(f"jnd/val/{name}" for name in ("traditional", "cnn")),
    ]
    for split in splits:
        split.verify()
        assert len(split) == FEW["2afc" if "2afc" in split.name else "jnd", *split.name.split("/")[1:]]
        assert split.card["observers"] == "human"
        assert set(split.card["source"]) == {"archive", "sha256"}


def test_patches_of_another_size_are_packed_next_to_the_papers(mirror, tmp_path):
    first = prepare(mirror, tmp_path / "data", "splits=val")
    small = prepare(mirror, tmp_path / "data", "splits=val", "data.size=32", "data.resize=pil_bilinear")
    assert {split.size for split in small} == {(32, 32)}
    assert {split.path.parent.name for split in small} == {"pil_bilinear-32"}
    assert digests(prepare("/absent", tmp_path / "data", "splits=val")) == digests(first)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (("data.resize=pil_bilinear",), True),
        (("data.resize=pil_bilinear", "data.size=128"), False),
        (("data.resize=exact",), False),
        (("data.resize=pil_bicubic",), False),
    ],
)
def test_the_papers_figures_are_those_of_patches_as_the_released_loader_gives_them(tmp_path, overrides, expected):
    cfg = parse(small_settings("/absent", tmp_path, *overrides), DatasetConfig)
    assert dataset_of(cfg.data).has_paper_figures is expected


def test_archives_packed_are_neither_fetched_nor_read_again(mirror, tmp_path):
    first = prepare(mirror, tmp_path / "data", "splits=val")
    for file in mirror.iterdir():
        file.unlink()
    assert digests(prepare(mirror, tmp_path / "data", "splits=val")) == digests(first)


def test_only_the_phase_asked_for_is_fetched(mirror, tmp_path):
    (mirror / "twoafc_train.tar.gz").unlink()
    assert len(prepare(mirror, tmp_path / "data", "splits=val")) == 8
    with pytest.raises(UserError, match=r"twoafc_train.tar.gz: not available from any mirror"):
        prepare(mirror, tmp_path / "data", "splits=train")


def test_unpacked_files_are_packed_from_where_they_are(mirror, tmp_path):
    expected = digests(prepare(mirror, tmp_path / "one", "splits=val", "data.unpack=true"))
    assert (tmp_path / "one/files/2afc/val/cnn/ref/000000.png").is_file()
    assert [path.name for path in (tmp_path / "one/files").iterdir() if path.name[0] == "."] == [".lock"]
    (tmp_path / "one/files").rename(tmp_path / "two")
    found = prepare("/absent", tmp_path / "data", "splits=val", f"data.root={tmp_path}/two")
    assert digests(found) == expected
    assert "folder" in found[0].card["source"]


def test_splits_packed_from_files_stay_complete_without_them(mirror, tmp_path):
    prepare(mirror, tmp_path / "data", "splits=val", "data.unpack=true")
    (tmp_path / "data/packed").rename(tmp_path / "old")
    first = digests(prepare("/absent", tmp_path / "data", "splits=val"))
    (tmp_path / "data/files").rename(tmp_path / "elsewhere")
    assert digests(prepare("/absent", tmp_path / "data", "splits=val")) == first


def test_unpacking_keeps_the_users_folders_and_leaves_nothing_of_a_refused_archive(mirror, tmp_path):
    fewer = {**FEW, ("2afc", "val", "color"): 1}
    good = (mirror / "twoafc_val.tar.gz").read_bytes()
    write_archive(mirror / "twoafc_val.tar.gz", members("2afc", "val", fewer, 0, size=64), "2afc/")
    with pytest.raises(UserError, match="not BAPPS as published"):
        prepare(mirror, tmp_path / "data", "splits=val", "data.unpack=true")
    assert not any((tmp_path / "data").rglob("*.png"))
    (mirror / "twoafc_val.tar.gz").write_bytes(good)
    prepare(mirror, tmp_path / "data", "splits=val", "data.unpack=true")
    notes = tmp_path / "data/files/2afc/val/cnn/my_notes.txt"
    notes.write_text("mine")
    shutil.rmtree(tmp_path / "data/files/2afc/val/color")
    prepare(mirror, tmp_path / "data", "splits=val", "data.unpack=true")
    assert notes.read_text() == "mine"
    assert len(list((tmp_path / "data/files/2afc/val/color/ref").iterdir())) == FEW["2afc", "val", "color"]


def test_two_resize_modes_at_once_share_one_download(mirror, tmp_path):
    content = {path.name: path.read_bytes() for path in mirror.iterdir()}
    with serve(content, after=Step(slow=0.002)) as server:
        command = [sys.executable, "-m", "tests.datasets.small_bapps", server.url, str(tmp_path / "data")]
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not server.requests:
            time.sleep(0.01)
        prepare(server.url, tmp_path / "data", "splits=val", "data.resize=pil_bilinear")
        assert process.wait(PATIENCE) == 0
    assert server.served == len(content["twoafc_val.tar.gz"]) + len(content["jnd.tar.gz"])


def test_a_wrong_count_is_an_error_that_lists_every_split(mirror, tmp_path):
    fewer = {**FEW, ("2afc", "val", "color"): FEW["2afc", "val", "color"] - 1}
    write_archive(mirror / "twoafc_val.tar.gz", members("2afc", "val", fewer, 0, size=64), "2afc/")
    with pytest.raises(UserError) as error:
        prepare(mirror, tmp_path / "data", "splits=val")
    for split, count in SMALL.items():
        if split[:2] == ("2afc", "val"):
            assert f"{'/'.join(split)}: expected {count}, found {fewer[split]}" in str(error.value)
    assert str(error.value).count("(differs)") == 1
    assert "\n" not in str(error.value)
    assert not (tmp_path / "data/packed/bapps/exact/2afc-val-cnn").exists()


def test_an_archive_that_changed_since_its_first_use_is_refused(mirror, tmp_path):
    prepare(mirror, tmp_path / "data", "splits=val")
    recorded = json.loads((tmp_path / "data/archives/sha256.json").read_text())
    assert recorded["jnd.tar.gz"] == hashlib.sha256((mirror / "jnd.tar.gz").read_bytes()).hexdigest()
    write_archive(mirror / "jnd.tar.gz", members("jnd", "val", FEW, 7, size=64))
    with pytest.raises(UserError, match=r"jnd.tar.gz: SHA-256 [0-9a-f]{64}, but [0-9a-f]{64} at its first use"):
        prepare(mirror, tmp_path / "data", "splits=val", "data.resize=pil_bilinear")


def test_other_judgments_than_published_are_a_loud_warning(mirror, tmp_path, caplog):
    with caplog.at_level("WARNING"):
        prepare(mirror, tmp_path / "data", "splits=val")
    assert caplog.text.count("ATTENTION: the judgments of 2afc/val/") == 6


def test_an_archive_of_another_size_than_published_is_a_loud_warning(mirror, tmp_path, caplog, monkeypatch):
    prepare(mirror, tmp_path / "quiet", "splits=val")
    assert "expected about" not in caplog.text
    monkeypatch.setitem(ARCHIVES, ("jnd", "val"), ARCHIVES["jnd", "val"]._replace(size=200_000_000))
    monkeypatch.setattr("lpips_repro.download.fetch.check_size", lambda size, part: None)
    prepare(mirror, tmp_path / "data", "splits=val")
    (record,) = (record for record in caplog.records if "expected about" in record.message)
    size = (mirror / "jnd.tar.gz").stat().st_size
    assert record.levelname == "WARNING"
    assert f"ATTENTION: {mirror}/jnd.tar.gz has 0.00 GB ({size} bytes), expected about 0.2 GB" in record.message


def test_a_split_packed_as_others_judgments_is_packed_again(mirror, tmp_path):
    first = prepare(mirror, tmp_path / "data", "splits=val")
    card = first[1].path / "card.json"
    card.write_text(card.read_text().replace('"human"', '"simulated"'))
    again = prepare(mirror, tmp_path / "data", "splits=val")
    assert [split.card for split in again] == [split.card for split in first]


def test_local_archives_are_those_that_fetching_uses_in_place(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("archives", "plain", "with space"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "jnd.tar.gz").write_bytes(b"\x1f\x8b\x08 here")
    mirrors = {
        str(tmp_path / "plain"): tmp_path / "plain",
        "~/plain": tmp_path / "plain",
        f"file://{tmp_path}/plain": tmp_path / "plain",
        f"FILE://{tmp_path}/with%20space": tmp_path / "with space",
    }
    for mirror, folder in mirrors.items():
        cfg = parse(small_settings(mirror, tmp_path / "data"), DatasetConfig).data
        (found,) = local_archives(cfg, "jnd.tar.gz")
        assert found == fetch_archive("jnd.tar.gz", cfg.mirrors, tmp_path / "absent", needed_bytes=0)
        assert found == folder / "jnd.tar.gz"
    listed = ["http://127.0.0.1:9/x", str(tmp_path / "absent"), *mirrors, str(tmp_path / "archives")]
    override = "data.mirrors=[" + ",".join(f"'{mirror}'" for mirror in listed) + "]"
    cfg = parse(small_settings("", tmp_path, override), DatasetConfig).data
    assert local_archives(cfg, "jnd.tar.gz") == [
        tmp_path / name / "jnd.tar.gz" for name in ("archives", "plain", "with space")
    ]


def leave(folder):
    """What a killed run leaves half-made."""
    left = [folder / "packed/bapps/exact" / name for name in (".jnd.tar.gz.spool", ".2afc-val-cnn.old-123")]
    left.append(folder / "files/.twoafc_val.tar.gz.unpack")
    for path in left:
        (path / "2afc/val").mkdir(parents=True)
    return left


@pytest.mark.parametrize("unpack", ["true", "false"])
def test_what_a_killed_run_left_goes_though_all_is_complete(mirror, tmp_path, unpack):
    """`unpack` is of the run that is killed; the run after does not unpack."""
    first = digests(prepare(mirror, tmp_path / "data", "splits=val", f"data.unpack={unpack}"))
    left = leave(tmp_path / "data")
    assert digests(prepare("/absent", tmp_path / "data", "splits=val")) == first
    assert not any(path.exists() for path in left)


@pytest.mark.parametrize("unpack", ["true", "false"])
def test_what_a_killed_run_left_is_removed_before_the_work_continues(mirror, tmp_path, unpack):
    left = leave(tmp_path / "data")
    (left[2] / "2afc/val/cnn").mkdir()
    prepare(mirror, tmp_path / "data", "splits=val", f"data.unpack={unpack}")
    assert not any(path.exists() for path in left)


def test_a_complete_dataset_is_read_while_another_process_is_at_work(mirror, tmp_path):
    first = digests(prepare(mirror, tmp_path / "data", "splits=val"))
    left = leave(tmp_path / "data")
    with FileLock(left[0].parent / ".lock"), FileLock(left[2].parent / ".lock"):
        assert digests(prepare("/absent", tmp_path / "data", "splits=val")) == first
    assert all(path.exists() for path in left)


def test_archives_and_packed_splits_may_share_a_folder(mirror, tmp_path):
    folder = tmp_path / "data/packed/bapps/exact"
    assert len(prepare(mirror, tmp_path / "data", "splits=val", f"data.archives={folder}")) == 8


@pytest.mark.parametrize(
    "content", ['{"layout": 1}', '{"layout": 1, "kind": "2afc", "count": 6}', "[]", "", '{"source": "archive"}']
)
def test_a_split_with_a_damaged_card_is_packed_again(mirror, tmp_path, content):
    first = prepare(mirror, tmp_path / "data", "splits=val")
    (first[1].path / "card.json").write_text(content)
    assert digests(prepare(mirror, tmp_path / "data", "splits=val")) == digests(first)


@pytest.mark.parametrize("change", [{"source": "archive"}, {"source": None}, {"resize_mode": None}])
def test_a_card_that_does_not_say_where_its_split_is_from_is_not_complete(mirror, tmp_path, change):
    first = prepare(mirror, tmp_path / "data", "splits=val")
    (first[1].path / "card.json").write_text(json.dumps({**first[1].card, **change}))
    assert [split.card for split in prepare(mirror, tmp_path / "data", "splits=val")] == [split.card for split in first]


def test_an_empty_array_is_one_error_that_names_the_folder_to_move(mirror, tmp_path):
    split = prepare(mirror, tmp_path / "data", "splits=val")[1]
    (split.path / "p0.npy").write_bytes(b"")
    with pytest.raises(UserError, match=f"move the folder {split.path} elsewhere and run the command again"):
        prepare(mirror, tmp_path / "data", "splits=val")
    shutil.rmtree(split.path)
    assert len(prepare(mirror, tmp_path / "data", "splits=val")) == 8


@pytest.mark.parametrize("content", ["[]", "", '{"jnd.tar.gz": 5}', '{"jnd.tar.gz": {}}'])
def test_a_damaged_record_of_sha256_is_one_error_with_a_remedy(mirror, tmp_path, content):
    (tmp_path / "data/archives").mkdir(parents=True)
    (tmp_path / "data/archives/sha256.json").write_text(content)
    message = r"archives/sha256.json: .*: move it elsewhere: a new one is written at the next use"
    with serve({path.name: path.read_bytes() for path in mirror.iterdir()}) as server:
        with pytest.raises(UserError, match=message):
            prepare(server.url, tmp_path / "data", "splits=val")
        assert server.requests == []  # told before anything is fetched


def spoil_file(archive, suffix, content):
    """A good tar.gz whose first file of this kind holds something else."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as source:
        files = [(info.name, source.extractfile(info).read()) for info in source]
    first = next(name for name, _ in files if name.endswith(suffix))
    target = io.BytesIO()
    write_tar(target, [(name, content if name == first else old) for name, old in files])
    return target.getvalue()


FAULTS = {
    "cut": lambda content: content[: len(content) // 2],
    "refused": lambda content: gzip.compress(b"x" * 600),
    "image": lambda content: spoil_file(content, ".png", b"no image"),
    "vote": lambda content: spoil_file(content, ".npy", b"no vote"),
    "share": lambda content: spoil_file(content, ".npy", npy(1.5)),
    "count": None,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_remedy_for_a_bad_archive_is_never_to_delete_the_users_own(mirror, tmp_path, fault):
    file = mirror / "jnd.tar.gz"
    if fault == "count":
        write_archive(file, members("jnd", "val", {("jnd", "val", "cnn"): 60}, 0, size=64))
    else:
        file.write_bytes(FAULTS[fault](file.read_bytes()))
    with pytest.raises(UserError) as error:
        prepare(mirror, tmp_path / "data", "splits=val")
    assert f"replace {file}, which is used in place, or remove its folder from data.mirrors" in str(error.value)
    assert "delete" not in str(error.value)
    assert "restore" not in str(error.value)
    fetched = tmp_path / "data/archives/jnd.tar.gz"
    shutil.copy(file, fetched)
    with pytest.raises(UserError) as error:
        prepare(mirror, tmp_path / "data", "splits=val")
    assert (
        f"move {fetched} elsewhere and run the command again to download it again (from the same mirror first: if its"
        " file is damaged again, remove the mirror from data.mirrors or move it to the end)"
    ) in str(error.value)


def test_the_remedy_for_a_changed_archive_is_never_to_delete_the_users_own(mirror, tmp_path):
    prepare(mirror, tmp_path / "data", "splits=val")
    file = write_archive(mirror / "jnd.tar.gz", members("jnd", "val", FEW, 7, size=64))
    with pytest.raises(UserError, match=f"at its first use: replace {file}, .*; to use the new one, remove its"):
        prepare(mirror, tmp_path / "data", "splits=val", "data.resize=pil_bilinear")


def test_the_remedy_for_unpacked_files_names_the_split_and_no_deletion(mirror, tmp_path):
    prepare(mirror, tmp_path / "data", "splits=val", "data.unpack=true")
    split = tmp_path / "data/files/2afc/val/cnn"
    for file in split.glob("*/000000.*"):
        file.unlink()
    shutil.rmtree(tmp_path / "data/packed")
    with pytest.raises(UserError) as error:
        prepare(mirror, tmp_path / "data", "splits=val")
    assert f"complete {split}, or move it elsewhere to download it" in str(error.value)
    assert "delete" not in str(error.value)


@pytest.mark.parametrize("lack", ["ref", "p0/000000.png", "judge/000000.npy", "*"])
def test_an_incomplete_unpacked_split_is_one_error_with_the_remedy(mirror, tmp_path, lack):
    for name, content in members("2afc", "val", FEW, 0, size=64):
        file = tmp_path / "data/files" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    split = tmp_path / "data/files/2afc/val/cnn"
    for path in list(split.glob(lack)):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(UserError) as error:
        prepare(mirror, tmp_path / "data", "splits=val")
    assert str(error.value).startswith(f"{split}/")
    assert str(error.value).endswith(f": complete {split}, or move it elsewhere to download it")
    split.rename(tmp_path / "elsewhere")
    assert len(prepare(mirror, tmp_path / "data", "splits=val")) == 8


def test_an_empty_unpacked_split_is_one_error_with_the_remedy(mirror, tmp_path):
    split = tmp_path / "data/files/jnd/val/cnn"
    for field in ("p0", "p1", "same"):
        (split / field).mkdir(parents=True)
    with pytest.raises(UserError, match=f"{split}: empty split: .*: complete {split}, or move it elsewhere to"):
        prepare(mirror, tmp_path / "data", "splits=val")


@pytest.mark.parametrize("place", ["local mirror", "folder of downloads", "begun download"])
def test_what_is_there_of_an_archive_needs_no_disk_space(mirror, tmp_path, monkeypatch, place):
    monkeypatch.setitem(ARCHIVES, ("2afc", "val"), ARCHIVES["2afc", "val"]._replace(size=4_000_000_000))
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=3_000_000_000))
    archives = tmp_path / "data/archives"
    if place == "local mirror":
        # What is there is small, and stands for as many bytes as published.
        monkeypatch.setattr("lpips_repro.download.fetch.check_size", lambda size, part: None)
        assert len(prepare(mirror, tmp_path / "data", "splits=val")) == 8
        return
    with pytest.raises(
        UserError, match=r"3.00 GB free, but 4.\d\d GB needed on this disk for twoafc_val.tar.gz, jnd.tar.gz: "
    ):
        prepare("/absent", tmp_path / "data", "splits=val")
    if place == "folder of downloads":
        shutil.copytree(mirror, archives, dirs_exist_ok=True)
        assert len(prepare("/absent", tmp_path / "data", "splits=val")) == 8
    else:
        with (archives / "twoafc_val.tar.gz.part").open("wb") as sparse:
            sparse.truncate(2_000_000_000)
        with pytest.raises(UserError, match="not available from any mirror"):
            prepare("/absent", tmp_path / "data", "splits=val")


def test_each_disk_must_hold_what_goes_to_it_alone(mirror, tmp_path, monkeypatch):
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second disk here")
    monkeypatch.setitem(ARCHIVES, ("2afc", "val"), ARCHIVES["2afc", "val"]._replace(size=4_000_000_000))
    free = {other.stat().st_dev: 4_000_000_000, tmp_path.stat().st_dev: 1_000_000_000}
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=free[folder.stat().st_dev]))
    with tempfile.TemporaryDirectory(dir=other) as archives:
        with pytest.raises(UserError, match="not available from any mirror"):
            prepare("/absent", tmp_path / "data", "splits=val", f"data.archives={archives}")
        free[other.stat().st_dev] -= 1
        with pytest.raises(UserError, match=f"{archives}: 4.00 GB free, but 4.00 GB needed"):
            prepare("/absent", tmp_path / "data", "splits=val", f"data.archives={archives}")


def test_the_disk_must_hold_all_archives_before_the_first_is_fetched(mirror, tmp_path, monkeypatch):
    for part, archive in ARCHIVES.items():
        monkeypatch.setitem(ARCHIVES, part, archive._replace(size=1_000_000_000))
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=2_500_000_000))
    content = {path.name: path.read_bytes() for path in mirror.iterdir()}
    with serve(content) as server:
        with pytest.raises(UserError, match=r"2.50 GB free, but 3.\d\d GB needed .* for twoafc_val.*jnd.*twoafc_train"):
            prepare(server.url, tmp_path / "data")
        assert server.requests == []
    monkeypatch.setattr("lpips_repro.download.fetch.check_size", lambda size, part: None)  # they are small
    assert len(prepare(mirror, tmp_path / "data", "splits=val")) == 8


def test_unpacked_files_need_whole_blocks(mirror, tmp_path, monkeypatch):
    count = 1_000_000
    monkeypatch.setitem(COUNTS, ("jnd", "val", "cnn"), count)
    packed = 3 * sum(n * (3 if key[0] == "2afc" else 2) for key, n in COUNTS.items() if key[1] == "val") * PATCH_BYTES
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=packed))
    shutil.copytree(mirror, tmp_path / "data/archives")
    with pytest.raises(UserError, match="not BAPPS as published"):
        prepare("/absent", tmp_path / "data", "splits=val")
    block = os.statvfs(tmp_path).f_frsize
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=2 * count * (2 * PATCH_BYTES + block)))
    with pytest.raises(UserError, match="GB needed on this disk"):
        prepare("/absent", tmp_path / "data", "splits=val", "data.unpack=true")


def test_too_little_disk_is_reported_before_anything_is_fetched(mirror, tmp_path, monkeypatch):
    monkeypatch.setitem(COUNTS, ("2afc", "val", "cnn"), 10**9)
    with pytest.raises(UserError, match=r"GB free, but \d+.* for twoafc_val.tar.gz"):
        prepare(mirror, tmp_path / "data", "splits=val")


def test_a_second_process_waits_and_says_so(mirror, tmp_path):
    packed = tmp_path / "data/packed/bapps/exact"
    packed.mkdir(parents=True)
    packed = packed.resolve()
    with FileLock(packed / ".lock"):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.datasets.small_bapps", str(mirror), str(tmp_path / "data")],
            cwd=REPOSITORY,
            stderr=subprocess.PIPE,
            text=True,
        )
        line = process.stderr.readline()
        assert "another process is writing to" in line
        assert process.poll() is None
    assert f"{packed}: the other process has released the lock: continuing" in process.stderr.readline()
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0


def test_corrupted_bytes_are_one_error_that_names_the_archive(mirror, tmp_path):
    content = {path.name: path.read_bytes() for path in mirror.iterdir()}
    spoilt = bytearray(content["jnd.tar.gz"])
    spoilt[len(spoilt) // 2] ^= 0xFF
    with serve({**content, "jnd.tar.gz": bytes(spoilt)}) as server:
        with pytest.raises(
            UserError, match=r"jnd.tar.gz: damaged|jnd.tar.gz:.*not a readable|jnd.tar.gz: member"
        ) as error:
            prepare(server.url, tmp_path / "data", "splits=val")
        assert f": move {tmp_path}/data/archives/jnd.tar.gz elsewhere and run the command again" in str(error.value)
        assert "restore the file" not in str(error.value)
        assert not (tmp_path / "data/packed/bapps/exact/jnd-val-cnn").exists()
        (tmp_path / "data/archives/jnd.tar.gz").unlink()
        server.content = content
        expected = digests(prepare(mirror, tmp_path / "other", "splits=val"))
        assert digests(prepare(server.url, tmp_path / "data", "splits=val")) == expected


def test_bapps_missing_offline_is_one_error_that_lists_the_mirrors(tmp_path, mirror):
    with pytest.raises(UserError, match=r"twoafc_val.tar.gz: not available from any mirror: /absent/twoafc_val.tar.gz"):
        prepare("/absent", tmp_path / "data", "splits=val")
