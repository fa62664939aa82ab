"""Permutations with large distances from each other (Noroozi and Favaro, ECCV 2016, algorithm 1)."""

import itertools

import numpy as np


def distant_permutations(count: int, seed: int, length: int = 9) -> np.ndarray:
    """Permutations of 0 to length - 1. Each maximizes the sum of its Hamming distances from those before it.

    Args:
        count: number of permutations, up to length!.
        seed: seed of the first one. Ties are resolved by the lexicographic order.
        length: length of a permutation.

    Returns:
        int64 (count, length).
    """
    candidates = np.array(list(itertools.permutations(range(length))), dtype=np.uint8)
    distance = np.zeros(len(candidates), np.int64)
    chosen = [int(np.random.default_rng(seed).integers(len(candidates)))]
    while len(chosen) < count:
        distance += (candidates != candidates[chosen[-1]]).sum(axis=1)
        distance[chosen[-1]] = np.iinfo(np.int64).min // 2  # never chosen again
        chosen.append(int(distance.argmax()))
    return candidates[chosen].astype(np.int64)
