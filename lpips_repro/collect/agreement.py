"""How far workers agree: Krippendorff's alpha, and what one judge scores against the others."""

import krippendorff
import numpy as np


def alpha(judged: np.ndarray, yes: np.ndarray) -> float | None:
    """Krippendorff's alpha of nominal answers.

    Args:
        judged: number of judgments of each item, int (N,); yes: how many of them are 1, int (N,).

    Returns:
        At most 1; None if no item has two judgments, or all judgments are the same, of which it is undefined.
    """
    several = judged > 1
    counts = np.stack([(judged - yes)[several], yes[several]], axis=1)
    if not len(counts) or (counts.sum(axis=0) == 0).any():
        return None
    return float(krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"))


def unbiased_human_twoafc(judged: np.ndarray, yes: np.ndarray) -> float | None:
    """The mean of p^2 + (1 - p)^2 for the true shares p, estimated without bias.

    With the share k / n of n judgments in place of p, the mean is too large: a judge is compared with the other judges
    and with itself. Two different judgments of one item agree with this very probability, and of n judgments
    (k (k - 1) + (n - k) (n - k - 1)) / (n (n - 1)) of the pairs do.

    Args:
        judged: number of judgments of each item, int (N,); yes: how many of them are 1, int (N,).

    Returns:
        In [0, 1], over the items that have at least two judgments; None if there is none.
    """
    n, k = (values[judged > 1].astype(np.float64) for values in (judged, yes))
    if not len(n):
        return None
    return float(((k * (k - 1) + (n - k) * (n - k - 1)) / (n * (n - 1))).mean())
