import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lpips_repro.datasets.mini import build
from lpips_repro.datasets.mini.build import build_mini
from lpips_repro.datasets.packed import open_split, read_card
from lpips_repro.errors import UserError
from tests.processes import PATIENCE

SETTINGS = {"seed": 0, "train": 22, "val": 4, "jnd": 20, "autoencoders": 2, "autoencoder_steps": 2}
NAMES = [
    "2afc/train/traditional",
    "2afc/train/cnn",
    "2afc/train/mix",
    "2afc/val/traditional",
    "2afc/val/cnn",
    "2afc/val/superres",
    "2afc/val/deblur",
    "2afc/val/color",
    "2afc/val/frameinterp",
    "jnd/val/traditional",
    "jnd/val/cnn",
]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mini")
    build_mini(folder, **SETTINGS, workers=1)
    return folder


@pytest.fixture
def splits(root):
    return [open_split(root / name.replace("/", "-")) for name in NAMES]


def digests(splits) -> dict[str, str]:
    return {split.name: split.card["digest"] for split in splits}


def test_every_split_is_there_with_its_count_and_digest(splits):
    assert [split.name for split in splits] == NAMES
    for split in splits:
        group = "jnd" if split.card["kind"] == "jnd" else split.card["phase"]
        assert len(split) == SETTINGS[group]
        split.verify()


@pytest.mark.slow  # the first split of the killed worker below is of two workers too
def test_another_number_of_workers_gives_the_same_digests(splits, tmp_path):
    assert digests(build_mini(tmp_path, **SETTINGS, workers=2)) == digests(splits)


def test_another_seed_gives_other_digests(splits, tmp_path):
    other = build_mini(tmp_path, **{**SETTINGS, "seed": 1, "train": 2, "val": 2, "jnd": 2}, workers=1)
    assert not set(digests(other).values()) & set(digests(splits).values())


def test_a_longer_split_begins_with_the_shorter_one(splits, tmp_path):
    shorter = build_mini(tmp_path, **{**SETTINGS, "train": 3, "val": 2, "jnd": 3}, workers=1)
    for short, long in zip(shorter, splits, strict=True):
        for name, array in short.arrays.items():
            assert np.array_equal(array, long.arrays[name][: len(short)])


def test_judgments_are_whole_votes(splits):
    for split in splits:
        votes = {"train": 2, "val": 5}[split.card["phase"]] if split.card["kind"] == "2afc" else 3
        assert split.card["votes"] == votes
        np.testing.assert_allclose(split.votes * votes, np.rint(split.votes * votes), atol=1e-6)
        assert split.votes.min() >= 0
        assert split.votes.max() <= 1


def test_catch_pairs_are_identical_and_mostly_answered_same(splits):
    for split in splits:
        if split.card["kind"] == "jnd":
            catch = split.card["catch_pairs"]
            assert catch["count"] == len(catch["indices"]) == SETTINGS["jnd"] // 10
            assert np.array_equal(split.arrays["p0"][catch["indices"]], split.arrays["p1"][catch["indices"]])
            assert split.votes[catch["indices"]].mean() > 0.8


def test_cards_say_simulated_and_name_the_machine(splits):
    for split in splits:
        card = split.card
        assert (card["dataset"], card["observers"]) == ("mini", "simulated")
        assert "simulated" in card["note"]
        assert "nothing about human vision" in card["note"]
        assert "same machine" in card["repeatable"]
        assert {"platform", "processor", "instructions"} <= set(card["machine"])
        assert {"numpy", "torch", "scipy", "opencv", "scikit-image"} <= set(card["source"]["libraries"])
        assert card["source"]["seed"] == 0


def test_no_card_holds_a_path_of_the_machine(root):
    for card in root.glob("*/card.json"):
        assert str(root) not in card.read_text()
        assert sys.prefix not in card.read_text()


def test_unchanged_settings_rebuild_nothing_and_say_simulated(root, caplog):
    before = {file: file.stat().st_mtime_ns for file in root.rglob("*")}
    with caplog.at_level(logging.INFO):
        build_mini(root, **SETTINGS, workers=1)
    assert {file: file.stat().st_mtime_ns for file in root.rglob("*")} == before
    [record] = caplog.records
    assert "0 made now" in record.message
    assert "simulated" in record.message


def test_changed_settings_rebuild_the_splits_they_concern(root):
    before = {path.name: read_card(path) for path in root.iterdir()}
    build_mini(root, **{**SETTINGS, "val": 3}, workers=1)
    after = {path.name: read_card(path) for path in root.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {name for name in before if "2afc-val" in name}
    build_mini(root, **SETTINGS, workers=1)
    assert {path.name: read_card(path)["digest"] for path in root.iterdir()} == {
        name: card["digest"] for name, card in before.items()
    }


def test_a_changed_generator_rebuilds(root):
    card = root / NAMES[0].replace("/", "-") / "card.json"
    stored = json.loads(card.read_text())
    made = card.stat().st_mtime_ns
    stored["source"]["generator"] = "0" * 64
    card.write_text(json.dumps(stored))
    [first, *_] = build_mini(root, **SETTINGS, workers=1)
    assert first.card["source"]["generator"] != "0" * 64
    assert card.stat().st_mtime_ns != made


@pytest.mark.parametrize(
    ("name", "number"), [("train", 0), ("val", -1), ("jnd", 0), ("autoencoders", 1), ("autoencoder_steps", 0)]
)
def test_a_number_that_is_too_small_is_named(tmp_path, name, number):
    with pytest.raises(UserError, match=f"{name}={number}"):
        build_mini(tmp_path, **{**SETTINGS, name: number}, workers=1)


def make_chunk_or_die(chunk):
    """As in a worker, which is killed at the second split when the first is written."""
    if str(chunk.split) != "2afc-train-traditional":
        while not read_card(Path(os.environ["FIRST"])):
            time.sleep(0.01)
        signal.raise_signal(signal.SIGKILL)
    return MAKE_CHUNK(chunk)


MAKE_CHUNK = build._make_chunk


def test_a_killed_worker_is_one_line_and_leaves_whole_splits_that_the_next_run_keeps(splits, tmp_path, monkeypatch):
    first = tmp_path / "2afc-train-traditional"
    monkeypatch.setenv("FIRST", str(first))
    with monkeypatch.context() as patch:
        patch.setattr(build, "_make_chunk", make_chunk_or_die)
        with pytest.raises(UserError, match=f"^{tmp_path}: a worker process was killed, .*data.workers=1") as caught:
            build_mini(tmp_path, **SETTINGS, workers=2)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir() if path.name[0] != "."] == [first.name]
    kept = first.stat().st_mtime_ns
    assert digests(build_mini(tmp_path, **SETTINGS, workers=1)) == digests(splits)
    assert first.stat().st_mtime_ns == kept


@pytest.mark.slow
def test_killed_in_the_middle_it_leaves_whole_splits_that_the_next_run_keeps(splits, tmp_path):
    script = (
        "import sys; from pathlib import Path; from lpips_repro.datasets.mini.build import build_mini\n"
        f"if __name__ == '__main__': build_mini(Path(sys.argv[1]), **{SETTINGS}, workers=1)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + PATIENCE
    while not read_card(tmp_path / "2afc-train-traditional"):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = [path for path in tmp_path.iterdir() if not path.name.startswith(".")]
    assert 1 <= len(left) < len(NAMES)
    for path in left:
        open_split(path).verify()
    kept = {path: path.stat().st_mtime_ns for path in left}
    assert digests(build_mini(tmp_path, **SETTINGS, workers=1)) == digests(splits)
    assert {path: path.stat().st_mtime_ns for path in left} == kept
