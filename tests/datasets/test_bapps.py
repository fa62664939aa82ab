import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock

from lpips_repro.config import DatasetConfig, parse
from lpips_repro.datasets.bapps import local_archives
from lpips_repro.datasets.download import fetch_archive
from lpips_repro.datasets.published import ARCHIVES, COUNTS
from lpips_repro.datasets.verify import prepare_phases
from lpips_repro.errors import UserError
from tests.compose import CONFIGS
from tests.datasets.archives import members, write_archive
from tests.datasets.server import Step, serve
from tests.datasets.small_bapps import FEW, SMALL, small_settings

REPOSITORY = CONFIGS.parent


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


def test_archives_packed_are_neither_fetched_nor_read_again(mirror, tmp_path):
    first = prepare(mirror, tmp_path / "data", "splits=val")
    for file in mirror.iterdir():
        file.unlink()
    assert digests(prepare(mirror, tmp_path / "data", "splits=val")) == digests(first)


def test_only_the_phase_asked_for_is_fetched(mirror, tmp_path):
    (mirror / "twoafc_train.tar.gz").unlink()
    assert len(prepare(mirror, tmp_path / "data", "splits=val")) == 8
    with pytest.raises(UserError, match=r"twoafc_train.tar.gz: no mirror gave it"):
        prepare(mirror, tmp_path / "data", "splits=train")


def test_unpacked_files_are_packed_from_where_they_are(mirror, tmp_path):
    expected = digests(prepare(mirror, tmp_path / "one", "splits=val", "data.unpack=true"))
    assert (tmp_path / "one/files/2afc/val/cnn/ref/000000.png").is_file()
    assert [path.name for path in (tmp_path / "one/files").iterdir() if path.name[0] == "."] == []
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
        assert process.wait(60) == 0
    assert server.served == len(content["twoafc_val.tar.gz"]) + len(content["jnd.tar.gz"])


def test_a_wrong_count_is_an_error_that_lists_every_split(mirror, tmp_path):
    fewer = {**FEW, ("2afc", "val", "color"): FEW["2afc", "val", "color"] - 1}
    write_archive(mirror / "twoafc_val.tar.gz", members("2afc", "val", fewer, 0, size=64), "2afc/")
    with pytest.raises(UserError) as error:
        prepare(mirror, tmp_path / "data", "splits=val")
    for split, count in SMALL.items():
        if split[:2] == ("2afc", "val"):
            assert f"{'/'.join(split)}: expected {count}, found {fewer[split]}" in str(error.value)
    assert str(error.value).count("<- differs") == 1
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
    assert "published is about" not in caplog.text
    monkeypatch.setitem(ARCHIVES, ("jnd", "val"), ARCHIVES["jnd", "val"]._replace(size=200_000_000))
    prepare(mirror, tmp_path / "data", "splits=val")
    (record,) = (record for record in caplog.records if "published is about" in record.message)
    size = (mirror / "jnd.tar.gz").stat().st_size
    assert record.levelname == "WARNING"
    assert f"ATTENTION: {mirror}/jnd.tar.gz has 0.00 GB ({size} bytes), published is about 0.2 GB" in record.message


def test_a_split_packed_as_others_judgments_is_packed_anew(mirror, tmp_path):
    first = prepare(mirror, tmp_path / "data", "splits=val")
    card = first[1].path / "card.json"
    card.write_text(card.read_text().replace('"human"', '"simulated"'))
    again = prepare(mirror, tmp_path / "data", "splits=val")
    assert [split.card for split in again] == [split.card for split in first]


def test_local_archives_are_those_that_fetching_uses_in_place(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("archives", "plain", "with space"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "jnd.tar.gz").write_bytes(b"here")
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


@pytest.mark.parametrize("place", ["local mirror", "folder of downloads", "begun download"])
def test_what_is_there_of_an_archive_needs_no_disk_space(mirror, tmp_path, monkeypatch, place):
    monkeypatch.setitem(ARCHIVES, ("2afc", "val"), ARCHIVES["2afc", "val"]._replace(size=4_000_000_000))
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=3_000_000_000))
    archives = tmp_path / "data/archives"
    if place == "local mirror":
        assert len(prepare(mirror, tmp_path / "data", "splits=val")) == 8
        return
    with pytest.raises(UserError, match=r"3.00 GB free: twoafc_val.tar.gz needs 4.\d\d GB on this disk"):
        prepare("/absent", tmp_path / "data", "splits=val")
    if place == "folder of downloads":
        shutil.copytree(mirror, archives, dirs_exist_ok=True)
        assert len(prepare("/absent", tmp_path / "data", "splits=val")) == 8
    else:
        with (archives / "twoafc_val.tar.gz.part").open("wb") as sparse:
            sparse.truncate(2_000_000_000)
        with pytest.raises(UserError, match="no mirror gave it"):
            prepare("/absent", tmp_path / "data", "splits=val")


def test_each_disk_must_hold_what_goes_to_it_alone(mirror, tmp_path, monkeypatch):
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second disk here")
    monkeypatch.setitem(ARCHIVES, ("2afc", "val"), ARCHIVES["2afc", "val"]._replace(size=4_000_000_000))
    free = {other.stat().st_dev: 4_000_000_000, tmp_path.stat().st_dev: 1_000_000_000}
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=free[folder.stat().st_dev]))
    with tempfile.TemporaryDirectory(dir=other) as archives:
        with pytest.raises(UserError, match="no mirror gave it"):
            prepare("/absent", tmp_path / "data", "splits=val", f"data.archives={archives}")
        free[other.stat().st_dev] -= 1
        with pytest.raises(UserError, match=f"{archives}: 4.00 GB free"):
            prepare("/absent", tmp_path / "data", "splits=val", f"data.archives={archives}")


def test_too_little_disk_is_told_before_anything_is_fetched(mirror, tmp_path, monkeypatch):
    monkeypatch.setitem(COUNTS, ("2afc", "val", "cnn"), 10**9)
    with pytest.raises(UserError, match=r"GB free: twoafc_val.tar.gz needs \d+"):
        prepare(mirror, tmp_path / "data", "splits=val")


def test_a_second_process_waits_and_says_so(mirror, tmp_path):
    packed = tmp_path / "data/packed/bapps/exact"
    packed.mkdir(parents=True)
    with FileLock(packed / ".lock"):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.datasets.small_bapps", str(mirror), str(tmp_path / "data")],
            cwd=REPOSITORY,
            stderr=subprocess.PIPE,
            text=True,
        )
        line = process.stderr.readline()
        assert "another process is making splits in" in line
        assert process.poll() is None
    assert process.wait(60) == 0


def test_corrupted_bytes_are_one_error_that_names_the_archive(mirror, tmp_path):
    content = {path.name: path.read_bytes() for path in mirror.iterdir()}
    spoilt = bytearray(content["jnd.tar.gz"])
    spoilt[len(spoilt) // 2] ^= 0xFF
    with serve({**content, "jnd.tar.gz": bytes(spoilt)}) as server:
        with pytest.raises(UserError, match=r"jnd.tar.gz: damaged|jnd.tar.gz:.*not a readable|jnd.tar.gz: member"):
            prepare(server.url, tmp_path / "data", "splits=val")
        assert not (tmp_path / "data/packed/bapps/exact/jnd-val-cnn").exists()
        (tmp_path / "data/archives/jnd.tar.gz").unlink()
        server.content = content
        expected = digests(prepare(mirror, tmp_path / "other", "splits=val"))
        assert digests(prepare(server.url, tmp_path / "data", "splits=val")) == expected


def test_bapps_missing_offline_is_one_error_that_lists_the_mirrors(tmp_path, mirror):
    with pytest.raises(UserError, match=r"twoafc_val.tar.gz: no mirror gave it:\n.*/absent/twoafc_val.tar.gz"):
        prepare("/absent", tmp_path / "data", "splits=val")
