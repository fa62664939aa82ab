"""Rank correlation of distances with mean opinion scores, and its bootstrap over reference images.

Spearman's rho and Kendall's tau-b (which corrects for ties), of the score with the negated distance: a good image has
a high score and a small distance, so that 1 is the same order and a metric that orders images backwards is negative.

Distorted images of one reference are not independent, so the bootstrap draws references, each with all its images.
With `w` how often each is drawn, the rank of an image among those drawn is, but for a constant, half the sum over the
references s of `w_s` times its signs against the images of s (+1 above, -1 below, 0 beside): so both correlations of
every resample come from one matrix of signs, exactly as from the images drawn.
"""

import warnings
from collections.abc import Sequence

import numpy as np

from lpips_repro.evaluation.protocols.protocol import BLOCK, bootstrap_counts

MEASURES = ("spearman", "kendall")


def rank_correlation(distance: np.ndarray, mos: np.ndarray) -> dict[str, float]:
    """Both correlations of distances (N,) with scores (N,), by SciPy; NaN if all distances are the same."""
    from scipy import stats  # here: it takes longer to import than all of this package, and every protocol is imported

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.ConstantInputWarning)
        spearman = stats.spearmanr(-distance, mos).statistic
        kendall = stats.kendalltau(-distance, mos, variant="b").statistic
    return {"spearman": float(spearman), "kendall": float(kendall)}


class ReferenceBootstrap:
    """The resamples of the references, the same for all methods and sizes.

    Args:
        mos: scores (N,); groups: how many images each reference has, those of one together.
        replicates: number of resamples; seed: of their generator.
    """

    def __init__(self, mos: np.ndarray, groups: Sequence[int], replicates: int, seed: int):
        # All datasets have the name of the first one here, so that tables stay as they are.
        self.counts = bootstrap_counts(len(groups), replicates, seed, "tid2013").astype(np.float64)
        self.starts = np.cumsum([0, *groups[:-1]])
        self.group = np.repeat(np.arange(len(groups)), groups)
        self.mos = _signs(mos)
        self.mos_sums, self.mos_untied = self._sums(self.mos), self._pairs(abs(self.mos))

    def replicates(self, distance: np.ndarray) -> dict[str, np.ndarray]:
        """Both correlations of each resample, (B,), of distances (N,); NaN where one of all the same was drawn."""
        signs = _signs(-distance)
        with np.errstate(invalid="ignore"):  # 0/0
            return {"spearman": self._spearman(signs), "kendall": self._kendall(signs)}

    def _spearman(self, signs: np.ndarray) -> np.ndarray:
        sums = self._sums(signs), self.mos_sums
        parts = []
        for start in range(0, len(self.counts), BLOCK):
            counts = self.counts[start : start + BLOCK].T
            x, y = (matrix @ counts for matrix in sums)  # centred ranks, twice as large
            weight = counts[self.group]
            covariance, *variances = ((weight * a * b).sum(axis=0) for a, b in ((x, y), (x, x), (y, y)))
            parts.append(covariance / np.sqrt(np.prod(variances, axis=0)))
        return np.concatenate(parts)

    def _kendall(self, signs: np.ndarray) -> np.ndarray:
        both, untied = (self._pairs(matrix) for matrix in (signs * self.mos, abs(signs)))
        found: np.ndarray = both / np.sqrt(untied * self.mos_untied)
        return found

    def _sums(self, signs: np.ndarray) -> np.ndarray:
        """The sums of signs (N, N) over the images of each reference, (N, references)."""
        found: np.ndarray = np.add.reduceat(signs, self.starts, axis=1, dtype=np.float64)
        return found

    def _pairs(self, matrix: np.ndarray) -> np.ndarray:
        """The sum of a matrix of pairs (N, N) over those that each resample has, (B,)."""
        sums = np.add.reduceat(np.add.reduceat(matrix, self.starts, axis=0, dtype=np.int64), self.starts, axis=1)
        found: np.ndarray = np.einsum("br,rs,bs->b", self.counts, sums, self.counts, optimize=True)
        return found


def _signs(values: np.ndarray) -> np.ndarray:
    """Of the differences of all pairs: 1 where the first is larger, int8 (N, N)."""
    larger = (values[:, None] > values).astype(np.int8)
    return larger - larger.T
