import contextlib
import csv
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from filelock import FileLock

from lpips_repro.config import DatasetConfig, parse
from lpips_repro.datasets import bapps
from lpips_repro.datasets.bapps import COUNTS, count_is_right, judgments_differ, read_manifest
from lpips_repro.datasets.packed import write_split
from lpips_repro.datasets.verify import fetch_dataset, prepare_phases, verify_dataset
from lpips_repro.errors import UserError
from tests.compose import CONFIGS
from tests.datasets.archives import members, write_archive, write_archives
from tests.datasets.server import Step, serve
from tests.datasets.small_bapps import FEW, SMALL, small_settings

REPOSITORY = CONFIGS.parent
MANIFEST = REPOSITORY / "experiments/reference/bapps_val_manifest.json"


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A folder with the three archives of a small BAPPS, whose counts are taken for the published ones."""
    for key, count in SMALL.items():
        monkeypatch.setitem(COUNTS, key, count)
    write_archives(tmp_path / "mirror", FEW, phases=("train", "val"), size=64)
    return tmp_path / "mirror"


def prepare(mirror, folder, *overrides):
    return prepare_phases(parse(small_settings(mirror, folder, *overrides), DatasetConfig))


def digests(splits):
    return {split.name: split.card["digest"] for split in splits}


def test_counts_are_checked_exactly_for_val_and_to_the_hundred_elsewhere():
    assert count_is_right(("2afc", "val", "superres"), 10856)
    assert not count_is_right(("2afc", "val", "superres"), 10855)
    assert count_is_right(("2afc", "train", "mix"), 56643)
    assert not count_is_right(("2afc", "train", "mix"), 56700)
    assert not count_is_right(("2afc", "val", "other"), 1)
    assert sum(count for key, count in COUNTS.items() if key[:2] == ("2afc", "val")) == 36344


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


def test_digest_of_the_real_judgments_is_the_published_one(shared, tmp_path, monkeypatch):
    for split in ("traditional", "frameinterp"):
        with (shared / "bapps_val_judgments" / f"{split}.csv").open() as file:
            judge = np.array([float(row["judge"]) for row in csv.DictReader(file)], np.float32)
        images = np.zeros((len(judge), 64, 64, 3), np.uint8)
        card = {"kind": "2afc", "phase": "val", "split": split, "dataset": "bapps", "resize": "x", "observers": "human"}
        arrays = {"ref": images, "p0": images, "p1": images, "judge": judge}
        assert judgments_differ(write_split(tmp_path / split, arrays, card), read_manifest(MANIFEST)) is False
        arrays["judge"] = np.roll(judge, 1)
        assert judgments_differ(write_split(tmp_path / split, arrays, card), read_manifest(MANIFEST)) is True


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


def test_verify_finds_everything_good_then_each_kind_of_damage(mirror, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "data"

    def verify():
        verify_dataset(small_settings(mirror, folder))

    with pytest.raises(UserError, match="nothing of BAPPS is there to verify: run `make data`"):
        verify()
    monkeypatch.setattr("lpips_repro.datasets.verify.judgments_differ", lambda split, published: None)
    fetch_dataset(small_settings(mirror, folder))
    capsys.readouterr()
    verify()
    assert capsys.readouterr().out.count("good") == len(COUNTS)

    packed = folder / "packed/bapps/exact"
    content = bytearray((packed / "2afc-val-cnn/p0.npy").read_bytes())
    content[-1] ^= 1
    (packed / "2afc-val-cnn/p0.npy").write_bytes(content)
    monkeypatch.setitem(COUNTS, ("2afc", "val", "color"), 1)
    (folder / "archives/jnd.tar.gz").write_bytes(b"another file")
    with pytest.raises(UserError, match=r"not as it should be: 2afc/val/cnn, 2afc/val/color, jnd.tar.gz"):
        verify()
    printed = capsys.readouterr().out
    for verdict in ("DAMAGED", "WRONG COUNT", "CHANGED since its first use"):
        assert verdict in printed


def test_verify_warns_of_other_judgments_without_failing(mirror, tmp_path, capsys, caplog):
    fetch_dataset(small_settings(mirror, tmp_path / "data"))
    caplog.clear()
    with caplog.at_level("WARNING"):
        verify_dataset(small_settings(mirror, tmp_path / "data"))
    assert caplog.text.count("ATTENTION: the judgments of 2afc/val/") == 6
    assert capsys.readouterr().out.count("JUDGMENTS DIFFER from those published") == 6


def test_kill_9_at_twenty_random_moments_never_spoils_the_dataset(tmp_path, monkeypatch):
    """The archives come over HTTP, so that the moments fall into download and packing."""
    for key in COUNTS:
        monkeypatch.setitem(COUNTS, key, 40 if key[:2] == ("2afc", "val") else 0)
    counts = {key: count or 20 for key, count in COUNTS.items()}
    write_archives(tmp_path / "mirror", counts, detail=64)
    undisturbed = digests(prepare(tmp_path / "mirror", tmp_path / "undisturbed", "splits=val"))

    def start(folder):
        command = [sys.executable, "-m", "tests.datasets.small_bapps", server.url, str(folder), "40"]
        return subprocess.Popen(
            command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )

    content = {path.name: path.read_bytes() for path in (tmp_path / "mirror").iterdir()}
    with serve(content, after=Step(slow=0.0005)) as server:
        begin = time.monotonic()
        assert start(tmp_path / "timed").wait() == 0
        duration = time.monotonic() - begin
        rng = random.Random(0)
        killed = dataset = 0
        while killed < 20:  # each dataset again and again, until it is complete
            process = start(tmp_path / f"killed-{dataset}")
            time.sleep(duration * rng.uniform(0.1, 0.9))
            if process.poll() is None:
                killed += 1
            else:
                dataset += 1
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for number in range(dataset + 1):
            folder = tmp_path / f"killed-{number}"
            assert digests(prepare(server.url, folder, "splits=val")) == undisturbed
            assert [path.name for path in (folder / "packed/bapps/exact").glob(".*") if path.is_dir()] == []


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


def test_counts_of_the_archives_are_those_of_the_table():
    assert {key[:2] for key in COUNTS} == set(bapps.ARCHIVES)
