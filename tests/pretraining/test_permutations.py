import itertools

import numpy as np
import pytest

from lpips_repro.pretraining.permutations import distant_permutations


def distances(permutations):
    """Hamming distances between all, by the definition."""
    return [[sum(a != b for a, b in zip(p, q, strict=True)) for q in permutations] for p in permutations]


def test_they_are_permutations_and_all_differ():
    permutations = distant_permutations(100, seed=0)
    assert permutations.shape == (100, 9)
    assert (np.sort(permutations, axis=1) == np.arange(9)).all()
    assert len({tuple(row) for row in permutations}) == 100


def test_each_is_the_farthest_from_those_before_it_in_sum():
    # By the algorithm's own words, on permutations of 4, where all can be gone through.
    chosen = [tuple(row) for row in distant_permutations(10, seed=3, length=4)]
    everything = list(itertools.permutations(range(4)))
    for number in range(1, 10):

        def total(p, before=chosen[:number]):
            return sum(a != b for q in before for a, b in zip(p, q, strict=True))

        assert total(chosen[number]) == max(total(p) for p in everything if p not in chosen[:number])


def test_the_first_nine_differ_in_every_place():
    # A Latin rectangle can always be continued to a Latin square (Hall): so the greatest sum is always 9 each.
    found = np.array(distances(distant_permutations(9, seed=1)))
    assert (found[~np.eye(9, dtype=bool)] == 9).all()


def test_a_hundred_are_far_from_each_other_on_average():
    # Two random permutations of nine differ in eight places on average.
    found = np.array(distances(distant_permutations(100, seed=0)))
    assert found.sum() / (100 * 99) > 8


def test_the_seed_says_where_to_begin():
    assert not np.array_equal(distant_permutations(3, seed=0), distant_permutations(3, seed=1))
    assert np.array_equal(distant_permutations(3, seed=1), distant_permutations(3, seed=1))


@pytest.mark.parametrize("count", [1, 24])
def test_one_or_all(count):
    assert len(distant_permutations(count, seed=0, length=4)) == count
