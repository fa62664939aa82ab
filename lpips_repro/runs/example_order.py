"""The order of a run's examples, and its seeds. Both follow from the step, so that no state is saved."""

import functools

import numpy as np


@functools.lru_cache(maxsize=1)
def epoch_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """The order of an epoch's examples: a permutation of range(count)."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def mixed_seed(*numbers: int) -> int:
    """A seed for the random numbers of one step, from the run's seed and the numbers of the step."""
    (mixed,) = np.random.SeedSequence(list(numbers)).generate_state(1, np.uint64)
    return int(mixed)
