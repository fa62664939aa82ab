"""2AFC score and JND mAP, and their bootstrap replicates.

2AFC (paper section 4.1): a metric is credited, in each triplet, with the share of judges who agree with it.
JND (paper section 4.1, "mean average precision"): pairs sorted by distance are a detector of "same"; the area under
its precision-recall curve, with the monotone precision envelope of the PASCAL VOC challenge over all points.

Every score takes one-dimensional arrays or tensors and is a mean in [0, 1].
"""

import zlib

import numpy as np
import torch

Values = np.ndarray | torch.Tensor

# Replicates whose weights are held at once: bounds the memory of a bootstrap.
BLOCK = 64


def twoafc_score(d0: Values, d1: Values, judge: Values) -> float:
    """The 2AFC score of the distances of p0 and p1 from the reference.

    Args:
        d0, d1: distances (N,).
        judge: share of judges who chose p1 (N,), in [0, 1].

    Returns:
        Mean agreement in [0, 1]; a tie d0 = d1 counts one half.

    Raises:
        ValueError: for other shapes, an empty split, NaN distances, or shares outside [0, 1].
    """
    return float(twoafc_credits(d0, d1, judge).mean())


def twoafc_credits(d0: Values, d1: Values, judge: Values) -> np.ndarray:
    """The agreement in each triplet, float64 (N,), whose mean is the score; arguments as for `twoafc_score`."""
    d0, d1, judge = _vectors(d0=d0, d1=d1, judge=judge)
    _check_shares("judge", judge)
    return np.where(d0 == d1, 0.5, np.where(d1 < d0, judge, 1 - judge))


def human_twoafc(judge: Values) -> float:
    """The score of one judge drawn at random against the others: mean of p^2 + (1 - p)^2."""
    return float(human_credits(judge).mean())


def human_credits(judge: Values) -> np.ndarray:
    """p^2 + (1 - p)^2 of each triplet, float64 (N,)."""
    (judge,) = _vectors(judge=judge)
    _check_shares("judge", judge)
    found: np.ndarray = judge**2 + (1 - judge) ** 2
    return found


def oracle_twoafc(judge: Values) -> float:
    """The best score any metric can reach, by siding with the majority: mean of max(p, 1 - p)."""
    return float(oracle_credits(judge).mean())


def oracle_credits(judge: Values) -> np.ndarray:
    """max(p, 1 - p) of each triplet, float64 (N,)."""
    (judge,) = _vectors(judge=judge)
    _check_shares("judge", judge)
    found: np.ndarray = np.maximum(judge, 1 - judge)
    return found


def jnd_map(distance: Values, same: Values) -> float:
    """The mean average precision of a distance as a detector of pairs that people take for the same.

    Pairs of equal distance enter the curve together, as one threshold, so that the order of the pairs never matters.

    Args:
        distance: distances (N,).
        same: share of judges who answered "same" (N,), in [0, 1].

    Raises:
        ValueError: for other shapes, an empty split, NaN distances, shares outside [0, 1], or where nobody ever
            answered "same", which leaves recall undefined.
    """
    (same,) = _vectors(same=same)
    return float(jnd_map_replicates(distance, same, np.ones((1, len(same)), dtype=np.int64))[0])


def jnd_map_replicates(distance: Values, same: Values, counts: np.ndarray) -> np.ndarray:
    """The JND mAP of resamples of the pairs.

    Args:
        distance, same: as for `jnd_map`.
        counts: how often each pair is drawn in each resample, integers (B, N).

    Returns:
        float64 (B,); NaN for a resample in which nobody answered "same" to any pair: see `redraw_without`.
    """
    distance, same = _vectors(distance=distance, same=same)
    _check_shares("same", same)
    if not same.any():
        raise ValueError("same: nobody answered 'same' to any pair, so recall is undefined")
    order = np.argsort(distance, kind="stable")
    distance, same = distance[order], same[order]
    thresholds = np.flatnonzero(np.append(distance[1:] != distance[:-1], True))
    blocks = (counts[start : start + BLOCK, order] for start in range(0, len(counts), BLOCK))
    return np.concatenate([_average_precision(block, same, thresholds) for block in blocks])


def bootstrap_counts(size: int, replicates: int, seed: int, split: str) -> np.ndarray:
    """How often each of `size` examples is drawn in each of `replicates` resamples with replacement, int16 (B, N).

    One seed and split give the same resamples each time, so that methods are compared on the same ones; another
    split has its own, so that averages over splits do not add up the same chance.
    """
    return _resamples(np.random.default_rng([seed, zlib.crc32(split.encode())]), size, replicates)


def redraw_without(counts: np.ndarray, needed: np.ndarray, seed: int, split: str) -> int:
    """Draw resamples again that have none of the examples which a score needs; returns how many these were.

    Args:
        counts: of `bootstrap_counts`, changed in place; seed, split: as there.
        needed: bool (N,): the examples, of which there is at least one.
    """
    generator = np.random.default_rng([seed, zlib.crc32(split.encode()), 1])
    without = ~counts[:, needed].any(axis=1)
    redrawn = int(without.sum())
    while without.any():
        counts[without] = _resamples(generator, counts.shape[1], int(without.sum()))
        without = ~counts[:, needed].any(axis=1)
    return redrawn


def _resamples(generator: np.random.Generator, size: int, replicates: int) -> np.ndarray:
    rows = (np.bincount(generator.integers(size, size=size), minlength=size) for _ in range(replicates))
    return np.stack([row.astype(np.int16) for row in rows])


def _average_precision(counts: np.ndarray, same: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    drawn = counts.cumsum(axis=1)[:, thresholds]
    true = (counts * same).cumsum(axis=1)[:, thresholds]
    total = true[:, -1:]
    with np.errstate(invalid="ignore"):  # 0/0 before the first pair of a resample
        precision = np.where(drawn > 0, true / drawn, 0.0)
        recall = true / total  # NaN if nobody answered "same" to any pair of a resample
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    found: np.ndarray = (np.diff(recall, axis=1, prepend=0.0) * envelope).sum(axis=1)
    return found


def _vectors(**arrays: Values) -> list[np.ndarray]:
    vectors = []
    for name, array in arrays.items():
        vector = np.asarray(array.detach().cpu() if isinstance(array, torch.Tensor) else array, dtype=np.float64)
        if vector.ndim != 1:
            raise ValueError(f"{name} has shape {vector.shape}: expected one dimension (flatten it first)")
        if np.isnan(vector).any():
            raise ValueError(f"{name}: entry {int(np.isnan(vector).argmax())} is NaN")
        vectors.append(vector)
    lengths = {name: len(vector) for name, vector in zip(arrays, vectors, strict=True)}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"lengths differ: {lengths}: expected one entry an example in each")
    if 0 in lengths.values():
        raise ValueError(f"{', '.join(lengths)}: empty: expected at least one example")
    return vectors


def _check_shares(name: str, shares: np.ndarray) -> None:
    outside = (shares < 0) | (shares > 1)
    if outside.any():
        index = int(outside.argmax())
        raise ValueError(f"{name}: entry {index} is {shares[index]:g}: expected shares in [0, 1]")
