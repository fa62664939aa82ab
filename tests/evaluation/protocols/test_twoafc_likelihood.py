"""The binomial decision model, on votes that were drawn from a known one."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from lpips_repro.evaluation.protocols import PROTOCOLS
from lpips_repro.evaluation.protocols.twoafc_likelihood import (
    FOLDS,
    decision_probability,
    negative_log_likelihood,
    number_of_votes,
)

PROTOCOL = PROTOCOLS["2afc-likelihood"]
COUNT, VOTES = 3000, 5


@pytest.fixture(scope="module")
def drawn():
    """Distances, the probability that p1 is chosen, and the shares of five votes."""
    rng = np.random.default_rng(0)
    d0, d1 = rng.random((2, COUNT))
    probability = 1 / (1 + np.exp(-6 * (d0 - d1)))
    return d0, d1, probability, (rng.binomial(VOTES, probability) / VOTES).astype(np.float32)


def score(d0, d1, judge):
    return PROTOCOL.score({"d0": d0, "d1": d1}, judge)


def test_the_likelihood_is_that_of_the_binomial_distribution_per_judgment():
    judge = np.array([0, 0.2, 0.8, 1], np.float32)
    probability = np.array([0.1, 0.5, 0.7, 0.9])
    expected = -stats.binom.logpmf([0, 1, 4, 5], 5, probability) / 5
    np.testing.assert_allclose(negative_log_likelihood(probability, judge), expected)
    assert (negative_log_likelihood(judge.astype(float), judge)[[0, 3]] == 0).all()  # certain, and right


@pytest.mark.parametrize(("shares", "votes"), [([0, 1], 1), ([0.5, 1], 2), ([0.2, 0.4], 5), ([1 / 3, 0.5], 6)])
def test_the_number_of_votes_is_the_least_that_gives_the_shares(shares, votes):
    assert number_of_votes(np.array(shares, np.float32)) == votes


def test_the_fit_finds_the_probability_that_votes_were_drawn_with(drawn):
    d0, d1, probability, judge = drawn
    found = decision_probability(d0, d1, judge)
    assert np.abs(found - probability).mean() < 0.04
    best = negative_log_likelihood(probability, judge).mean()
    assert best < score(d0, d1, judge) < best + 0.01


def smoothed_without_a_grid(d0, d1, judge):
    """As the module says: uniform distances, Scott's width, both orders of the images, mirrored at the edges."""
    count = len(judge)
    x, y = (stats.rankdata(np.concatenate([d0, d1])).reshape(2, count) - 0.5) / (2 * count)
    width, fold = count ** (-1 / 6) / np.sqrt(12), np.arange(count) % FOLDS
    found = []
    for k in range(count):
        chosen = judged = 0.0
        for u, v, share in ((x, y, judge), (y, x, 1 - judge)):
            for p in (u, -u, 2 - u):
                for q in (v, -v, 2 - v):
                    near = np.exp(-((p - x[k]) ** 2 + (q - y[k]) ** 2) / (2 * width**2))[fold != fold[k]]
                    chosen += VOTES * (near * share[fold != fold[k]]).sum()
                    judged += VOTES * near.sum()
        found.append((chosen + 0.5) / (judged + 1))  # one judgment more, half for each image
    return np.array(found)


@pytest.mark.parametrize(("count", "error"), [(8, 0.02), (300, 0.01)])
def test_the_fit_is_the_share_of_votes_around_the_distances(drawn, count, error):
    d0, d1, _, judge = (values[:count] for values in drawn)
    assert number_of_votes(judge) == VOTES
    found, expected = decision_probability(d0, d1, judge), smoothed_without_a_grid(d0, d1, judge)
    np.testing.assert_allclose(found, expected, atol=error)
    assert np.ptp(expected) > 20 * error


def test_distances_that_say_less_have_a_lower_likelihood_down_to_that_of_chance(drawn):
    d0, d1, _, judge = drawn
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(2, COUNT))
    oracle, chance = (values.mean() for values in PROTOCOL.observers(judge).values())
    exact, noisy, none = (score(d0 + a * noise[0], d1 + a * noise[1], judge) for a in (0, 0.3, 1e6))
    assert oracle < exact < noisy - 0.02 < none
    assert none == pytest.approx(chance, abs=0.01)


def test_only_the_order_of_the_distances_counts(drawn):
    d0, d1, _, judge = drawn
    assert score(d0, d1, judge) == pytest.approx(score(np.exp(9 * d0), np.exp(9 * d1), judge), rel=1e-9)


def test_it_does_not_matter_which_image_comes_first(drawn):
    d0, d1, _, judge = drawn
    exchanged = decision_probability(d1, d0, 1 - judge)
    np.testing.assert_allclose(exchanged, 1 - decision_probability(d0, d1, judge), atol=1e-6)


def test_a_triplets_own_votes_are_no_part_of_its_fit(drawn):
    d0, d1, _, judge = (values[:200] for values in drawn)
    changed = judge.copy()
    changed[7] = 1 - judge[7] if judge[7] != 0.5 else 0
    before, after = (decision_probability(d0, d1, votes) for votes in (judge, changed))
    assert before[7] == after[7]
    assert (before != after).any()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_triplets_and_equal_distances_have_a_finite_score(count):
    judge = np.ones(count, np.float32)
    assert np.isfinite(score(np.zeros(count), np.ones(count), judge))
    assert np.isfinite(score(np.zeros(count), np.zeros(count), judge))


def test_the_caption_says_what_the_likelihood_does_not_show_and_what_a_judgment_is(drawn):
    d0, d1, _, judge = drawn
    assert score(-d0, -d1, judge) == pytest.approx(score(d0, d1, judge), abs=1e-4)
    for votes, single in ((judge, False), (np.round(judge), True)):
        said = PROTOCOL.remarks([SimpleNamespace(votes=votes, card={"split": "mine"})])
        assert "does not depend on the direction of the distance" in said
        assert "not fitted again to each resample" in said
        assert ("On mine all votes are 0 or 1 and count as one judgment per triplet." in said) == single
