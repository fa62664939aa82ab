"""The order in which a run takes its examples, and where its random numbers come from: no state is saved for either."""

import functools

import numpy as np


@functools.lru_cache(maxsize=1)
def epoch_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """The order in which an epoch takes so many examples."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def mixed_seed(*numbers: int) -> int:
    """A seed for what is drawn in one step, from the run's seed and the numbers of the step."""
    (mixed,) = np.random.SeedSequence(list(numbers)).generate_state(1, np.uint64)
    return int(mixed)
