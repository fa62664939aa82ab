"""Whether methods differ by more than chance: a paired permutation test on what each example credits them with.

If neither of two methods is better, the sign of an example's difference could as well be the other one. So signs are
flipped at random, many times; p is the share of draws whose mean is at least as far from 0 as the one observed.
"""

import zlib
from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np
from scipy.special import ndtr

Name = TypeVar("Name", bound=Hashable)

DRAWS = 10_000
# A smaller standard deviation is rounding: scores are of the order of 1 or 100.
NOISE = 1e-12
# If fewer draws are as extreme as what is observed, their share is too coarse: p comes from the normal distribution.
RESOLVED = 10
BLOCK = 500  # draws at once, which bounds the memory


def flipped_means(differences: np.ndarray, seed: int, split: str) -> np.ndarray:
    """The means of differences whose signs are flipped at random, (rows, DRAWS).

    The means are linear: those of a difference of two rows are the difference of theirs.

    Args:
        differences: of the credits in each example of a split, (rows, N); or the credits themselves.
        seed, split: one seed and split give the same flips each time, so that all rows are compared on the same ones.
    """
    rows, count = differences.shape
    generator = np.random.default_rng([seed, zlib.crc32(split.encode()), 2])
    total, means = differences.sum(axis=1), np.empty((rows, DRAWS))
    for start in range(0, DRAWS, BLOCK):
        size = min(BLOCK, DRAWS - start)
        random = np.frombuffer(generator.bytes(size * -(-count // 8)), np.uint8).reshape(size, -1)
        kept = np.unpackbits(random, axis=1, count=count).astype(np.float64)
        means[:, start : start + size] = (2 * differences @ kept.T - total[:, None]) / count
    return means


def two_sided_p(observed: float, draws: np.ndarray, deviation: float, how: str = "permutation") -> tuple[float, str]:
    """The probability of a difference at least as large, in either direction, if only chance makes one.

    Args:
        observed: the difference; draws: those that chance makes, such as by flipped signs, (draws,).
        deviation: the standard deviation of these; how: their name.

    Returns:
        p, and how it was found: the name of the draws, or "normal" for the tail of the normal distribution.
    """
    if deviation < NOISE:  # no example tells the two methods apart
        return 1.0, how
    extreme = int((np.abs(draws) >= abs(observed) - 1e-9 * deviation).sum())  # sums in another order are as extreme
    counted, normal = (extreme + 1) / (len(draws) + 1), float(2 * ndtr(-abs(observed) / deviation))
    # Of few examples the sums have shorter tails than the normal distribution: then the draws say more.
    return (normal, "normal") if extreme < RESOLVED and normal < counted else (counted, how)


def holm(p: Mapping[Name, float]) -> dict[Name, float]:
    """Holm's adjusted p of several tests, by name."""
    adjusted, largest = {}, 0.0
    for rank, (name, value) in enumerate(sorted(p.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(p) - rank) * value))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p}
