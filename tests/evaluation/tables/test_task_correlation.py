import csv

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from lpips_repro.errors import UserError
from lpips_repro.evaluation.tables.task_correlation import pearson, task_correlation
from tests.compose import CONFIGS


def figure5(**wanted):
    """2AFC and JND scores of the paper's Figure 5, of the methods whose columns have these values."""
    with (CONFIGS.parent / "experiments/reference/paper_figure5.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if all(row[key] == value for key, value in wanted.items())]
    return [float(row["twoafc_distortions"]) for row in rows], [float(row["jnd_map"]) for row in rows]


@pytest.mark.parametrize(
    ("wanted", "methods", "rho"),
    [
        ({"alexnet_like": "1"}, 13, 0.930),  # the paper's Table 4 says .928 of scores that are not rounded
        ({}, 22, 0.956),
        ({"group": "low-level"}, 4, 0.998),
        ({"group": "self-supervised"}, 10, 0.922),
    ],
)
def test_the_papers_figure_has_the_papers_correlation(wanted, methods, rho):
    found = task_correlation(*figure5(**wanted), replicates=10, seed=0)
    assert (found.methods, round(found.rho, 3)) == (methods, rho)
    assert found.rho == pytest.approx(scipy.stats.pearsonr(*figure5(**wanted)).statistic, abs=1e-12)


def test_rho_of_a_case_worked_by_hand():
    # From their means (2 and 2): -1 0 1 and -1 1 0: rho = (1 + 0 + 0) / (sqrt(2) sqrt(2)).
    assert task_correlation([1, 2, 3], [1, 3, 2], replicates=10, seed=0).rho == pytest.approx(1 / 2)


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=3, max_size=30))
def test_rho_is_scipys_and_does_not_depend_on_scale(rows):
    x, y = np.array(rows, dtype=float).T
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return
    assert pearson(x, y) == pytest.approx(scipy.stats.pearsonr(x, y).statistic, abs=1e-9)
    assert pearson(3 * x + 7, -y) == pytest.approx(-pearson(x, y), abs=1e-9)


def test_interval_agrees_with_scipys_bootstrap_of_pairs():
    pytest.importorskip("scipy", "1.15")  # the first with these arguments
    scores = figure5(alexnet_like="1")
    found = task_correlation(*scores, replicates=20_000, seed=0)

    def rho(x, y, axis):
        return scipy.stats.pearsonr(x, y, axis=axis).statistic

    settings = {"paired": True, "vectorized": True, "n_resamples": 20_000, "method": "percentile", "rng": 1}
    theirs = scipy.stats.bootstrap(scores, rho, **settings).confidence_interval
    # Ends of other seeds with as many resamples lie within 0.003 of each other.
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.006)


def test_interval_of_many_methods_is_fishers():
    x, noise = np.random.default_rng(0).normal(size=(2, 400))
    found = task_correlation(x, x + noise, replicates=4000, seed=0)
    fisher = scipy.stats.pearsonr(x, x + noise).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((fisher.low, fisher.high), abs=0.02)


def test_a_seed_gives_the_same_interval_again():
    scores = figure5()
    assert task_correlation(*scores, 200, seed=1) == task_correlation(*scores, 200, seed=1)
    assert task_correlation(*scores, 200, seed=1) != task_correlation(*scores, 200, seed=2)


def test_resamples_without_a_correlation_are_drawn_again():
    # A third of the resamples of these have one score on the first task.
    found = [task_correlation([1, 1, 1, 2], [5, 6, 7, 8], replicates=1, seed=seed) for seed in range(200)]
    assert all(-1 <= one.low == one.high <= 1 for one in found)
    on_a_line = task_correlation([1, 2, 3], [2, 4, 6], replicates=1000, seed=0)
    assert (on_a_line.rho, on_a_line.low, on_a_line.high) == pytest.approx((1, 1, 1))


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([1, 2], [1, 2], "^2 methods have scores on both tasks: a correlation takes at least 3$"),
        ([], [], "^0 methods have"),
        ([1, 2, 3], [0.1, 0.1, 0.1], "^3 methods have the same score on one task"),
    ],
)
def test_what_has_no_correlation_is_one_error_that_says_why(first, second, message):
    with pytest.raises(UserError, match=message):
        task_correlation(first, second, replicates=10, seed=0)


@pytest.mark.parametrize(("first", "second"), [([1, 2, 3], [1, 2]), ([1, 2, np.nan], [1, 2, 3]), ([[1]], [[1]])])
def test_wrong_input_is_refused(first, second):
    with pytest.raises(ValueError, match=r"."):
        task_correlation(first, second, replicates=10, seed=0)
