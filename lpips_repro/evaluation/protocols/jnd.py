"""Just noticeable differences (paper, section 4.1): are two briefly shown patches the same?

The score is the paper's "mean average precision": distances are a detector of "same", and the score is the area under
its precision-recall curve, with the monotone precision envelope of the PASCAL VOC challenge over all points.
"""

from typing import ClassVar

import numpy as np

from lpips_repro.evaluation.protocols.protocol import BLOCK, Distances, Protocol, Values, check_shares, vectors_of
from lpips_repro.evaluation.protocols.registry import PROTOCOLS, register_protocol


def jnd_map(distance: Values, same: Values) -> float:
    """The mean average precision of a distance as a detector of pairs that people judge as the same.

    Pairs of equal distance share a threshold, so that the order of pairs does not matter.

    Args:
        distance: distances (N,).
        same: share of judges who answered "same" (N,), in [0, 1].

    Raises:
        ValueError: if shapes are wrong, the split is empty, a distance is NaN, a share is outside [0, 1], or nobody
            answered "same", so that recall is undefined.
    """
    (same,) = vectors_of(same=same)
    return float(jnd_map_replicates(distance, same, np.ones((1, len(same)), dtype=np.int64))[0])


def jnd_map_replicates(distance: Values, same: Values, counts: np.ndarray) -> np.ndarray:
    """The JND mAP of resamples of pairs.

    Args:
        distance, same: as for `jnd_map`.
        counts: number of draws of each pair in each resample, integers (B, N).

    Returns:
        float64 (B,); NaN for a resample in which nobody answered "same": see `redraw_without`.
    """
    distance, same = vectors_of(distance=distance, same=same)
    check_shares("same", same)
    if not same.any():
        raise ValueError("same: nobody answered 'same' to any pair, so recall is undefined")
    order = np.argsort(distance, kind="stable")
    distance, same = distance[order], same[order]
    thresholds = np.flatnonzero(np.append(distance[1:] != distance[:-1], True))
    blocks = (counts[start : start + BLOCK, order] for start in range(0, len(counts), BLOCK))
    return np.concatenate([_average_precision(block, same, thresholds) for block in blocks])


def _average_precision(counts: np.ndarray, same: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    drawn = counts.cumsum(axis=1)[:, thresholds]
    true = (counts * same).cumsum(axis=1)[:, thresholds]
    total = true[:, -1:]
    with np.errstate(invalid="ignore"):  # 0/0 before the first pair of a resample
        precision = np.where(drawn > 0, true / drawn, 0.0)
        recall = true / total  # NaN if nobody answered "same" in a resample
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    found: np.ndarray = (np.diff(recall, axis=1, prepend=0.0) * envelope).sum(axis=1)
    return found


def _share_same(votes: np.ndarray) -> float:
    return float(votes.mean(dtype=np.float64))


@register_protocol
class JustNoticeable(Protocol):
    """The mean average precision of distances as a detector of pairs that people judge as the same."""

    name = kind = "jnd"
    title = "JND mAP (%)"
    file = "jnd"
    images = ("p0", "p1")
    vote = "same"
    distances = ("d",)
    averages: ClassVar = {"all": ("traditional", "cnn")}  # paper, Table 6
    columns_in_order = ("traditional", "cnn", "all")
    paper = "paper_jnd.csv"
    paper_columns: ClassVar = {"jnd_map": "all"}  # published only as the mean over the splits
    score_name = "mAP"
    why_undefined = "nobody answered 'same' to any pair"
    # Measured: docs/results/precision.md.
    bfloat16 = (
        "dtype=bfloat16: distances of nearly equal images, as in JND pairs, are not exact: with noise of half a gray"
        " level they are 12 to 17 % larger, and 10 to 12 % of the comparisons change: use dtype=float32 for the JND"
        " table"
    )
    statistics: ClassVar = {'share "same" %': _share_same}

    def score(self, distances: Distances, votes: np.ndarray) -> float:
        """The mean average precision."""
        return jnd_map(distances["d"], votes)

    def replicates(self, distances: Distances, votes: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """The scores of resamples, NaN if nobody answered "same" in a resample."""
        return jnd_map_replicates(distances["d"], votes, counts)

    def needed(self, votes: np.ndarray) -> np.ndarray:
        """The pairs to which anybody answered "same"."""
        return votes > 0


JND = PROTOCOLS[JustNoticeable.name]
