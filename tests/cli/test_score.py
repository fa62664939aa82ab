"""Pairs in batches: how many images are in memory, and what an interruption leaves."""

import threading

import pytest
import torch

from lpips_repro.cli import score
from lpips_repro.cli.methods import find_methods, prepare
from lpips_repro.cli.pairing import Pair
from lpips_repro.cli.reading import Reading
from lpips_repro.cli.score import Scorer
from lpips_repro.evaluation.distances.compute import Engine
from lpips_repro.progress import Progress
from tests.cli.conftest import write_image

CPU = torch.device("cpu")


@pytest.fixture
def pairs(tmp_path):
    """Forty pairs of two sizes, in turn."""
    sizes = [(40, 40), (48, 40)]
    return [
        Pair(
            write_image(tmp_path / f"{k}-ref.png", k, sizes[k % 2]),
            write_image(tmp_path / f"{k}.png", 100 + k, sizes[k % 2]),
        )
        for k in range(40)
    ]


def scorer(batch_size, name="l2-rgb"):
    return Scorer(prepare(find_methods([name]), Engine(CPU)), CPU, Reading(), batch_size)


def test_distances_do_not_depend_on_the_batch(pairs):
    one, many = (scorer(size).score(pairs, Progress(disable=True)) for size in (1, 16))
    assert [found.distances for found in one] == [found.distances for found in many]
    assert [found.pair for found in one] == pairs


def test_memory_is_bounded_by_the_batch_size(pairs, monkeypatch):
    held, most, lock = set(), [0], threading.Lock()

    def read(pair, *others):
        images = read_pair(pair, *others)
        with lock:
            held.add(pair)
            most[0] = max(most[0], len(held))
        return images

    def measure(self, group, progress):
        assert len(group) <= 4
        with lock:
            held.difference_update(one.pair for one, _ in group)
        measure_group(self, group, progress)

    read_pair, measure_group = score.read_pair, Scorer._measure
    monkeypatch.setattr(score, "read_pair", read)
    monkeypatch.setattr(Scorer, "_measure", measure)
    assert all(one.distances for one in scorer(4).score(pairs, Progress(disable=True)))
    assert most[0] <= 2 * 4 + 1  # those that wait for a batch, and as many read in advance, with the one between


def test_what_is_done_survives_an_interruption(pairs, monkeypatch):
    calls = []

    def measure(self, group, progress):
        calls.append(group)
        if len(calls) == 3:
            raise KeyboardInterrupt
        measure_group(self, group, progress)

    measure_group = Scorer._measure
    monkeypatch.setattr(Scorer, "_measure", measure)
    found = scorer(4).score(pairs, Progress(disable=True))
    assert sum(bool(one.distances) for one in found) == sum(map(len, calls[:2])) > 0
    assert {one.faults[""] for one in found if not one.distances} == {"interrupted"}


def test_a_distance_that_is_not_a_number_fails_alone(pairs):
    session = scorer(4)
    distance = session.methods["l2-rgb"]
    measure = lambda x, *others: torch.where(x[:, 0, 0, 0] == x[1, 0, 0, 0], torch.nan, distance.measure(x, *others))  # noqa: E731
    session.methods["l2-rgb"] = type(distance)(measure, {})
    found = session.score(pairs[:8:2], Progress(disable=True))
    assert [bool(one.distances) for one in found] == [True, False, True, True]
    assert found[1].faults == {"l2-rgb": "the distance is NaN"}
