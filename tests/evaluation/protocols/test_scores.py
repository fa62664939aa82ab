import csv

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st

from lpips_repro.evaluation import human_twoafc, jnd_map, oracle_twoafc, twoafc_score
from lpips_repro.evaluation.protocols.jnd import jnd_map_replicates
from lpips_repro.evaluation.protocols.protocol import bootstrap_counts
from lpips_repro.evaluation.protocols.twoafc import twoafc_credits

shares = st.integers(0, 5).map(lambda votes: votes / 5)
distances = st.integers(0, 6).map(lambda d: d / 4)  # few values, so that ties are common
triplets = st.lists(st.tuples(distances, distances, shares), min_size=1, max_size=30)
pairs = st.lists(st.tuples(distances, shares), min_size=1, max_size=30).filter(lambda p: any(s > 0 for _, s in p))


def test_twoafc_of_a_case_worked_by_hand():
    # p1 nearer: judge .8; p0 nearer: 1 - .4; tie: .5; p1 nearer: judge 0.
    assert twoafc_score([2, 1, 3, 5], [1, 2, 3, 4], [0.8, 0.4, 1.0, 0.0]) == pytest.approx((0.8 + 0.6 + 0.5 + 0) / 4)


def test_human_and_oracle_of_a_case_worked_by_hand():
    judge = torch.tensor([0.0, 0.2, 0.6], dtype=torch.float64)
    assert human_twoafc(judge) == pytest.approx((1 + (0.04 + 0.64) + (0.36 + 0.16)) / 3)
    assert oracle_twoafc(judge) == pytest.approx((1 + 0.8 + 0.6) / 3)


# On the real judgments of BAPPS: human, and the distances of one trained model; percent, two decimals.
REAL = {
    "traditional": (80.84, 77.48),
    "cnn": (84.35, 82.87),
    "superres": (73.60, 71.19),
    "deblur": (66.09, 61.04),
    "color": (68.83, 65.23),
    "frameinterp": (68.61, 62.43),
}


@pytest.mark.parametrize("split", REAL)
def test_scores_of_the_real_judgments(split, shared):
    with (shared / "bapps_val_judgments" / f"{split}.csv").open() as file:
        rows = list(csv.DictReader(file))
    d0, d1, judge = (np.array([float(row[name]) for row in rows]) for name in ("d0", "d1", "judge"))
    assert (round(100 * human_twoafc(judge), 2), round(100 * twoafc_score(d0, d1, judge), 2)) == REAL[split]
    assert oracle_twoafc(judge) > human_twoafc(judge) > twoafc_score(d0, d1, judge)


def test_jnd_map_of_a_case_worked_by_hand():
    # precision, recall: (1, 1/3), then the tied pair together (2/3, 2/3), then (3/4, 1); envelope 1, 3/4, 3/4.
    found = jnd_map([0.2, 0.1, 0.4, 0.2], [1, 1, 1, 0])
    assert found == pytest.approx(1 / 3 + 1 / 3 * 3 / 4 + 1 / 3 * 3 / 4)


def test_jnd_map_of_shared_votes_worked_by_hand():
    # precision, recall: (1/3, 1/4), then (2/3, 1); envelope 2/3 throughout.
    assert jnd_map(torch.tensor([0.1, 0.3]), torch.tensor([1 / 3, 1.0])) == pytest.approx(2 / 3)


def test_scores_take_tensors_that_require_a_gradient():
    d = torch.tensor([1.0, 2.0], requires_grad=True)
    assert jnd_map(d, torch.tensor([1.0, 0.0], requires_grad=True)) == 1
    assert twoafc_score(d, d, d.detach() / 2) == 0.5


def test_jnd_map_of_equal_distances_is_the_share_of_same():
    assert jnd_map(np.ones(4), np.array([1, 0, 0, 0.2])) == pytest.approx(0.3)


def test_jnd_map_of_a_perfect_detector_is_one():
    assert jnd_map(np.arange(4), np.array([1, 1, 0, 0])) == 1


def voc_average_precision(distance, same):
    """All-points VOC, point by point, for distances without ties."""
    order = np.argsort(distance)
    true, false = np.cumsum(same[order]), np.cumsum(1 - same[order])
    recall, precision = true / true[-1], true / (true + false)
    return sum(
        (recall[i] - (recall[i - 1] if i else 0)) * max(precision[j] for j in range(i, len(order)))
        for i in range(len(order))
    )


def test_jnd_map_is_the_voc_area_over_all_points():
    rng = np.random.default_rng(0)
    for _ in range(20):
        distance, same = rng.permutation(50) / 7, rng.integers(0, 4, 50) / 3
        assert jnd_map(distance, same) == pytest.approx(voc_average_precision(distance, same), abs=1e-12)


@given(triplets, st.randoms())
def test_twoafc_does_not_depend_on_the_order(rows, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert twoafc_score(*map(list, zip(*shuffled, strict=True))) == pytest.approx(
        twoafc_score(*map(list, zip(*rows, strict=True)))
    )


@given(triplets)
def test_flipped_judges_or_swapped_patches_mirror_twoafc(rows):
    d0, d1, judge = (np.array(column) for column in zip(*rows, strict=True))
    score = twoafc_score(d0, d1, judge)
    assert twoafc_score(d0, d1, 1 - judge) == pytest.approx(1 - score)
    assert twoafc_score(d1, d0, judge) == pytest.approx(1 - score)
    assert twoafc_score(d1, d0, 1 - judge) == pytest.approx(score)


@given(triplets)
def test_no_metric_beats_the_oracle(rows):
    d0, d1, judge = (np.array(column) for column in zip(*rows, strict=True))
    assert 1 - oracle_twoafc(judge) - 1e-12 <= twoafc_score(d0, d1, judge) <= oracle_twoafc(judge) + 1e-12
    assert human_twoafc(judge) <= oracle_twoafc(judge) + 1e-12


@given(pairs, st.randoms())
def test_jnd_map_does_not_depend_on_the_order_even_with_ties(rows, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    score = jnd_map(*map(list, zip(*rows, strict=True)))
    assert jnd_map(*map(list, zip(*shuffled, strict=True))) == pytest.approx(score, abs=1e-12)
    assert 0 <= score <= 1 + 1e-12


@given(pairs)
def test_jnd_map_depends_on_the_ranking_alone(rows):
    distance, same = (np.array(column) for column in zip(*rows, strict=True))
    assert jnd_map(np.exp(3 * distance), same) == pytest.approx(jnd_map(distance, same), abs=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: twoafc_score([1], [2], [1.25]), r"judge: entry 0 is 1.25: expected shares in \[0, 1\]"),
        (lambda: twoafc_score([float("nan")], [2], [1]), "d0: entry 0 is NaN"),
        (lambda: twoafc_score([1, 2], [2], [1]), "lengths differ"),
        (lambda: twoafc_score([], [], []), "empty"),
        (lambda: jnd_map(torch.zeros(3, 1, 1, 1), torch.ones(3)), r"distance has shape \(3, 1, 1, 1\): expected one"),
        (lambda: jnd_map([1, 2], [0, 0]), "recall is undefined"),
        (lambda: jnd_map([1, 2], [0, -1]), "same: entry 1 is -1"),
    ],
)
def test_wrong_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_replicates_are_the_scores_of_the_resampled_pairs():
    rng = np.random.default_rng(0)
    distance, same = rng.integers(0, 20, 60) / 3, rng.integers(0, 4, 60) / 3
    drawn = rng.integers(60, size=(100, 60))
    counts = np.stack([np.bincount(row, minlength=60) for row in drawn])
    expected = [jnd_map(distance[row], same[row]) for row in drawn]
    np.testing.assert_allclose(jnd_map_replicates(distance, same, counts), expected, atol=1e-12)


def test_resamples_are_seeded_of_full_size_and_different_for_each_split():
    counts = bootstrap_counts(30, 50, seed=1, split="2afc/val/cnn")
    assert counts.shape == (50, 30)
    assert (counts.sum(axis=1) == 30).all()
    assert np.array_equal(counts, bootstrap_counts(30, 50, seed=1, split="2afc/val/cnn"))
    assert not np.array_equal(counts, bootstrap_counts(30, 50, seed=2, split="2afc/val/cnn"))
    assert not np.array_equal(counts, bootstrap_counts(30, 50, seed=1, split="2afc/val/color"))


def test_bootstrap_interval_agrees_with_scipys():
    rng = np.random.default_rng(0)
    d0, d1, judge = rng.random(400), rng.random(400), rng.integers(0, 6, 400) / 5
    credit = twoafc_credits(d0, d1, judge)
    counts = bootstrap_counts(400, 5000, seed=0, split="x")
    found = np.quantile(counts @ credit / 400, (0.025, 0.975))
    drawn = scipy.stats.bootstrap((credit,), np.mean, n_resamples=5000, method="percentile", random_state=1)
    # The standard error of an end of the interval with 5000 resamples is about 0.0005 here.
    np.testing.assert_allclose(found, drawn.confidence_interval, atol=0.002)
