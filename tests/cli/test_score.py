"""Pairs in batches: the number of images in memory, and failures of single pairs."""

import threading

import numpy as np
import pytest
import torch

from lpips_repro.cli import score
from lpips_repro.cli.methods import find_methods, prepare
from lpips_repro.cli.pairing import Pair
from lpips_repro.cli.reading import Reading
from lpips_repro.cli.score import Scored, Scorer
from lpips_repro.evaluation.distances.compute import Engine
from lpips_repro.images import read_rgb
from lpips_repro.progress import Progress
from tests.cli.conftest import NET, write_image

CPU = torch.device("cpu")


@pytest.fixture
def pairs(tmp_path):
    """Forty pairs of two alternating sizes."""
    sizes = [(40, 40), (48, 40)]
    return [
        Pair(
            write_image(tmp_path / f"{k}-ref.png", k, sizes[k % 2]),
            write_image(tmp_path / f"{k}.png", 100 + k, sizes[k % 2]),
        )
        for k in range(40)
    ]


def scorer(batch_size, name="l2-rgb"):
    methods, _ = prepare(find_methods([name]), Engine(CPU))
    return Scorer(methods, CPU, Reading(), batch_size)


def score_all(scorer, pairs):
    scored = [Scored(pair) for pair in pairs]
    scorer.fill(scored, Progress(disable=True))
    return scored


def test_distances_do_not_depend_on_the_batch(pairs):
    one, many, default = (score_all(scorer(size), pairs) for size in (1, 16, None))
    assert [found.distances for found in one] == [found.distances for found in many]
    assert [found.distances for found in one] == [found.distances for found in default]
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
        start(self, group, progress)

    read_pair, start = score.read_pair, Scorer._start
    monkeypatch.setattr(score, "read_pair", read)
    monkeypatch.setattr(Scorer, "_start", measure)
    assert all(one.distances for one in score_all(scorer(4), pairs))
    assert most[0] <= 2 * 4 + 1  # a batch that fills, a batch read ahead, and one pair between


def test_a_batch_has_fewer_large_images(tmp_path, monkeypatch):
    monkeypatch.setattr(score, "PIXELS", {"cpu": 2 * 100**2})
    groups = []

    def started(self, group, progress):
        groups.append(len(group))
        start(self, group, progress)

    start = Scorer._start
    monkeypatch.setattr(Scorer, "_start", started)
    for side, most in ((50, 8), (100, 2), (200, 1)):
        images = [write_image(tmp_path / f"{side}-{k}.png", k, (side, side)) for k in range(9)]
        groups.clear()
        score_all(scorer(None), [Pair(images[0], image) for image in images])
        assert sum(groups) == 9 and max(groups) == most


def test_a_distance_of_nan_does_not_stop_the_others(pairs):
    session = scorer(4)
    (key, distance), *_ = session.distances.items()
    measure = lambda x, *others: torch.where(x[:, 0, 0, 0] == x[1, 0, 0, 0], torch.nan, distance.measure(x, *others))  # noqa: E731
    session.distances[key] = type(distance)(measure, {})
    found = score_all(session, pairs[:8:2])
    assert [bool(one.distances) for one in found] == [True, False, True, True]
    assert found[1].faults == {"l2-rgb": "the distance is NaN: the metric is not defined for these two images"}


def test_a_pair_that_fails_does_not_stop_the_others_of_its_batch(pairs):
    session = scorer(4)
    (key, distance), *_ = session.distances.items()
    bad = read_rgb(pairs[2].ref)[0, 0, 0] / 255

    def measure(x, *others):
        if (x[:, 0, 0, 0] == np.float32(bad)).any():
            raise RuntimeError("not this one")
        return distance.measure(x, *others)

    session.distances[key] = type(distance)(measure, {})
    found = score_all(session, pairs[:8:2])
    assert [bool(one.distances) for one in found] == [True, False, True, True]
    assert found[1].faults == {"l2-rgb": "RuntimeError: not this one"}


def test_workers_compute_the_same_distances_as_one_call(pairs):
    threads = torch.get_num_threads()
    torch.set_num_threads(3)  # does not divide the batch size
    try:
        found = score_all(scorer(8, NET), pairs)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    one = score_all(scorer(1, NET), pairs)
    for (label, value), (_, wanted) in zip(
        [item for each in found for item in each.distances.items()],
        [item for each in one for item in each.distances.items()],
        strict=True,
    ):
        assert value == pytest.approx(wanted, abs=1e-6), label


def test_all_batches_that_wait_for_a_worker_are_computed(pairs):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        session, most = scorer(6, NET), []
        measured = session._measured

        def noted(distances, group):
            most.append((len(session.running), len(group)))
            return measured(distances, group)

        session._measured = noted
        found = score_all(session, pairs[::2])  # pairs of one size
    finally:
        torch.set_num_threads(threads)
    assert all(one.distances for one in found)
    assert max(count for _, count in most) == 2  # 6 pairs at once: one batch per worker, and one that waits
    assert max(running for running, _ in most) in (2, 3)
