"""What is stored of distances: written to the bit, checked at every read, kept while it is computed."""

import dataclasses
import hashlib
import json
import os
import re
import signal

import numpy as np
import pytest
import torch

from lpips_repro.evaluation.distances.compute import Distance, Engine, of_pairs
from lpips_repro.evaluation.distances.results import Results
from lpips_repro.evaluation.distances.store import DistanceStore
from lpips_repro.evaluation.methods.method import Method
from tests.evaluation.distances.test_compute import DISTANCE, IDENTITY, computed, mean_difference, packed


def test_stored_distances_come_back_exactly(tmp_path):
    split, store = packed(tmp_path), DistanceStore(tmp_path / "store")
    assert store.load("l2", IDENTITY, split) is None
    for dtype in (np.float32, np.float64):
        values = {"d0": np.array([0.1, 1e-30, 3e8, np.inf, -np.inf], dtype), "d1": np.arange(5, dtype=dtype) / 3}
        store.save("l2", IDENTITY, split, values)
        found = store.load("l2", IDENTITY, split)
        assert all(np.array_equal(found[name], values[name]) and found[name].dtype == dtype for name in values)


@pytest.mark.parametrize("kind", ["2afc", "jnd"])
def test_a_split_of_one_example_comes_back(tmp_path, kind):
    split, store = packed(tmp_path, kind, count=1), DistanceStore(tmp_path / "store")
    values = computed(DISTANCE, split, 2, "l2")
    store.save("l2", IDENTITY, split, values)
    found = store.load("l2", IDENTITY, split)
    assert found.keys() == values.keys()
    assert all(np.array_equal(found[name], values[name]) for name in values)


def test_the_observers_can_be_stated_later_and_nothing_else_is_written(tmp_path):
    split, store = packed(tmp_path), DistanceStore(tmp_path / "store")
    store.save("l2", IDENTITY, split, computed(DISTANCE, split, 2, "l2"))
    file = store.path("l2", IDENTITY, split).with_suffix(".json")
    card, written = json.loads(file.read_text()), file.stat().st_ino
    store.load("l2", IDENTITY, split)
    assert file.stat().st_ino == written  # a file that is written takes the place of the older one
    other = dataclasses.replace(split, card={**split.card, "observers": "simulated"})
    assert store.load("l2", IDENTITY, other) is not None
    assert json.loads(file.read_text()) == {**card, "observers": "simulated"}


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_a_fifo_in_the_place_of_a_file_is_not_waited_for(tmp_path, suffix):
    split, store = packed(tmp_path), DistanceStore(tmp_path / "store")
    store.save("l2", IDENTITY, split, computed(DISTANCE, split, 2, "l2"))
    file = store.path("l2", IDENTITY, split).with_suffix(suffix)
    file.unlink()
    os.mkfifo(file)
    signal.alarm(30)  # ends a process that waits
    try:
        assert store.load("l2", IDENTITY, split) is None
        assert store.earlier("l2", IDENTITY, split) == set()
    finally:
        signal.alarm(0)


def test_file_has_the_documented_columns(tmp_path):
    store = DistanceStore(tmp_path / "store")
    for kind, header in (("2afc", "index,d0,d1,judge"), ("jnd", "index,d,same")):
        split = packed(tmp_path, kind)
        store.save("l2", IDENTITY, split, computed(DISTANCE, split, 2, "l2"))
        lines = store.path("l2", IDENTITY, split).read_text().splitlines()
        assert lines[0] == header
        assert lines[1].startswith("000000,")
        assert len(lines) == 1 + len(split)


def test_another_identity_or_dataset_is_another_file(tmp_path):
    split, other, store = packed(tmp_path), packed(tmp_path, seed=1), DistanceStore(tmp_path / "store")
    paths = {
        store.path("l2", IDENTITY, split),
        store.path("l2", {**IDENTITY, "code": "2"}, split),
        store.path("l2", IDENTITY, other),
    }
    assert len(paths) == 3


def shuffled(text):
    """The rows in another order, as a spreadsheet sorts them."""
    head, *rows = text.splitlines()
    return "\n".join([head, *rows[::-1]]) + "\n"


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:40],
        lambda text: "",
        lambda text: "nonsense",
        shuffled,
        lambda text: text.replace("000001,", "000000,"),
        lambda text: re.sub(r"(?m)^(\d+),[^,]+", r"\1,nan", text),
        lambda text: text.replace("\n", "\r\n"),
    ],
)
def test_damaged_distances_are_set_aside_and_said(tmp_path, damage, caplog):
    split, store = packed(tmp_path), DistanceStore(tmp_path / "store")
    store.save("l2", IDENTITY, split, computed(DISTANCE, split, 2, "l2"))
    path = store.path("l2", IDENTITY, split)
    damaged = damage(path.read_text())
    path.write_text(damaged, newline="")
    assert store.load("l2", IDENTITY, split) is None
    assert re.search(r"l2-[0-9a-f]{12}\.csv: damaged distances \(.+\): kept as l2-\w+\.csv\.damaged", caplog.text)
    assert path.with_name(f"{path.name}.damaged").read_bytes().decode() == damaged
    assert not path.with_suffix(".json").exists()


@pytest.mark.parametrize("card", ["{", "[]", "{}", '{"values": "float16"}', "[" * 100_000])
def test_distances_with_a_damaged_json_are_set_aside(tmp_path, card):
    split, store = packed(tmp_path), DistanceStore(tmp_path / "store")
    store.save("l2", IDENTITY, split, computed(DISTANCE, split, 2, "l2"))
    store.path("l2", IDENTITY, split).with_suffix(".json").write_text(card)
    assert store.load("l2", IDENTITY, split) is None


def test_distances_without_their_json_are_not_used(tmp_path):
    split, store = packed(tmp_path), DistanceStore(tmp_path / "store")
    store.save("l2", IDENTITY, split, computed(DISTANCE, split, 2, "l2"))
    store.path("l2", IDENTITY, split).with_suffix(".json").unlink()
    assert store.load("l2", IDENTITY, split) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (shuffled, "the column index differs from the items of 2afc/val/cnn"),
        (
            lambda text: re.sub(r"(?m)^000002,.*\n", "", text),
            "4 lines: expected 5, one for each example of 2afc/val/cnn",
        ),
        (lambda text: re.sub(r"(?m),[^,]+$", ",0.5", text).replace(",0.5", ",judge", 1), "its votes differ from those"),
        (lambda text: re.sub(r"(?m)^(000003),[^,]+", r"\1,nan", text), "a value is not a number"),
        (lambda text: text.replace("d0,d1", "d1,d0"), "expected the columns index,d0,d1,judge"),
    ],
)
def test_what_is_wrong_is_reported_even_if_the_digest_was_made_again(tmp_path, change, said, caplog):
    split, store = packed(tmp_path), DistanceStore(tmp_path / "store")
    store.save("l2", IDENTITY, split, computed(DISTANCE, split, 2, "l2"))
    path = store.path("l2", IDENTITY, split)
    path.write_text(change(path.read_text()))
    card = json.loads(path.with_suffix(".json").read_text())
    card["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".json").write_text(json.dumps(card))
    assert store.load("l2", IDENTITY, split) is None
    assert said in caplog.text


def test_distances_of_another_method_in_the_place_of_these_are_set_aside(tmp_path, caplog):
    split, store = packed(tmp_path), DistanceStore(tmp_path / "store")
    values = computed(DISTANCE, split, 2, "l2")
    for label in ("l2", "other"):
        store.save(label, IDENTITY, split, values)
    for suffix in (".csv", ".json"):
        other, own = (store.path(label, IDENTITY, split).with_suffix(suffix) for label in ("other", "l2"))
        own.write_bytes(other.read_bytes())
    assert store.load("l2", IDENTITY, split) is None
    assert "its .json is of other distances" in caplog.text
    assert store.load("other", IDENTITY, split) is not None


def test_observers_that_cannot_be_written_do_no_harm(tmp_path, monkeypatch):
    split, store = packed(tmp_path), DistanceStore(tmp_path / "store")
    values = computed(DISTANCE, split, 2, "l2")
    store.save("l2", IDENTITY, split, values)
    other = dataclasses.replace(split, card={**split.card, "observers": "simulated"})

    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("lpips_repro.evaluation.distances.store.write_whole", refuse)
    found = store.load("l2", IDENTITY, other)
    assert all(np.array_equal(found[name], values[name]) for name in values)


@pytest.mark.parametrize("edit", ["reversed", "one value", "cut", "no card", "longer"])
def test_what_a_killed_run_left_is_used_only_if_it_is_as_it_was_written(tmp_path, edit, caplog):
    split, store = packed(tmp_path), DistanceStore(tmp_path / "store")
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    store.add("l2", IDENTITY, split, values[:, :2], 2)
    store.add("l2", IDENTITY, split, values, 1)
    np.testing.assert_array_equal(store.begun("l2", IDENTITY, split), values)
    (part,) = tmp_path.glob("store/**/*.part")
    content = part.read_bytes()
    if edit == "no card":
        part.with_name(f"{part.name}.json").unlink()
    else:
        edited = {"reversed": content[::-1], "one value": b"abcd" + content[4:], "cut": content[:-1]}
        part.write_bytes(edited.get(edit, content + b"ab"))
    found = store.begun("l2", IDENTITY, split)
    if edit == "longer":  # killed in the middle of the next part
        np.testing.assert_array_equal(found, values)
    else:
        assert found is None
    if edit in ("reversed", "one value", "cut"):
        assert "kept as" in caplog.text and part.with_name(f"{part.name}.damaged").is_file()


def results_of(distances, split, root):
    """Results with these methods, and what was raised while they were added."""
    methods = [Method("low-level", name, lambda engine, one=one: one) for name, one in distances.items()]
    results = Results(Engine(torch.device("cpu")), DistanceStore(root), [split], 2)
    raised = None
    try:
        results.add(methods)
    except KeyboardInterrupt as error:
        raised = error
    return results, raised


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_run_that_is_killed_continues_from_its_last_part(tmp_path, monkeypatch, dtype):
    monkeypatch.setattr("lpips_repro.evaluation.distances.results.PART", 4 * 64**2)
    split, seen = packed(tmp_path, count=15), []

    def counted(x, y):
        if len(seen) == 2 * 5:  # both distances of the batches of two; the kill comes in the third part
            raise KeyboardInterrupt
        seen.append(len(x))
        return mean_difference(x, y).to(dtype)

    _, raised = results_of({"mae": Distance(of_pairs(counted), {})}, split, tmp_path / "store")
    assert raised
    (part,) = (tmp_path / "store").rglob(f"mae-*.{str(dtype).removeprefix('torch.')}.part")
    assert part.stat().st_size == 8 * 2 * dtype.itemsize
    with part.open("ab") as file:
        file.write(b"half")  # as a power cut leaves it
    seen[:] = [0]
    found, raised = results_of({"mae": Distance(of_pairs(counted), {})}, split, tmp_path / "store")
    assert not raised
    assert seen == [0] + 2 * [2] + 2 * [2] + 2 * [2] + 2 * [1]
    whole, _ = results_of({"mae": Distance(of_pairs(mean_difference), {})}, split, tmp_path / "other")
    for name, values in whole.distances["mae"][split.name].items():
        np.testing.assert_array_equal(found.distances["mae"][split.name][name], values)
    assert not part.exists()


def test_a_metric_that_fails_late_costs_neither_its_own_first_parts_nor_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr("lpips_repro.evaluation.distances.results.PART", 4 * 64**2)
    split, calls = packed(tmp_path, count=15), []

    def late(x, y):
        calls.append(len(x))
        if len(calls) > 2 * 6:
            raise RuntimeError("late")
        return mean_difference(x, y)

    both = {"mae": DISTANCE, "late": Distance(of_pairs(late), {})}
    results, _ = results_of(both, split, tmp_path / "store")
    assert results.not_scored == {"mae": {}, "late": {"2afc": f"not run: on {split.name}: RuntimeError: late"}}
    assert len(results.distances["mae"][split.name]["d0"]) == 15
    calls.clear()
    results, _ = results_of(both, split, tmp_path / "store")
    assert not any(results.not_scored.values())
    assert calls == 2 * [2] + 2 * [1]
