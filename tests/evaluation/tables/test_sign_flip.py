"""The paired permutation test against SciPy and values by hand; `test_differences` has real judgments."""

import numpy as np
import pytest
from scipy import stats

from lpips_repro.evaluation.tables.sign_flip import DRAWS, flipped_means, holm, two_sided_p


def p_of(differences, seed=0):
    draws = flipped_means(differences[None], seed, "split")[0]
    deviation = np.sqrt(np.square(differences).sum()) / len(differences)
    return two_sided_p(differences.mean(), draws, deviation)


def test_it_is_scipys_test():
    differences = np.random.default_rng(0).choice([-0.6, -0.2, 0.0, 0.2, 0.6], 400) + 0.02
    found = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=20_000, random_state=np.random.default_rng(1)
    )
    p, how = p_of(differences)
    assert how == "permutation"
    assert p == pytest.approx(found.pvalue, abs=0.01)  # three standard errors of 10,000 draws at p = .5


def test_three_examples_by_hand():
    # Of the eight ways of signs, two have a mean of 1 or -1: p is a quarter.
    p, _ = p_of(np.array([1.0, 1.0, 1.0]))
    assert p == pytest.approx(0.25, abs=0.015)


def test_equal_methods_do_not_differ():
    assert p_of(np.zeros(10)) == (1.0, "permutation")


def test_beyond_the_resolution_of_the_draws_it_is_the_normal_tail():
    differences = np.ones(100)
    p, how = p_of(differences)
    assert how == "normal"
    assert p == pytest.approx(2 * stats.norm.sf(10), rel=1e-9)


def test_rows_share_the_flips_and_a_split_has_its_own():
    differences = np.random.default_rng(0).normal(size=(1, 50))
    twice = flipped_means(np.concatenate([differences, differences]), 0, "cnn")
    assert twice.shape == (2, DRAWS)
    np.testing.assert_array_equal(twice[0], twice[1])
    assert not np.array_equal(twice[0], flipped_means(differences, 0, "color")[0])
    assert twice[0].std() == pytest.approx(np.sqrt(np.square(differences).sum()) / 50, rel=0.03)


def test_holm_by_hand():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}


def test_of_few_examples_p_is_at_most_what_the_draws_say():
    # Only two of the 2^12 ways of signs have a sum as large; the normal tail would be .008.
    p, how = p_of(np.array([1.0, *[0.2] * 11]))
    assert how == "permutation"
    assert p == pytest.approx(2 / 2**12, abs=8e-4)  # three standard errors of 10,000 draws
