"""Rank correlation of distances with mean opinion scores, and its bootstrap over reference images.

Spearman's rho and Kendall's tau-b (which corrects for ties) between the score and the negated distance. Good images
have high scores and small distances, so that 1 means the same order, and a metric with the reverse order is negative.

Distorted images of one reference are not independent. So the bootstrap draws references, each with all its images. Let
`w_s` be the number of draws of reference s. The rank of an image in a resample is, up to a constant, half the sum over
s of `w_s` times the image's signs against the images of s (+1 above, -1 below, 0 equal). So one matrix of signs gives
both correlations of all resamples exactly.
"""

import warnings
from collections.abc import Sequence

import numpy as np

from lpips_repro.evaluation.protocols.protocol import BLOCK, bootstrap_counts

MEASURES = ("spearman", "kendall")


def rank_correlation(distance: np.ndarray, mos: np.ndarray) -> dict[str, float]:
    """Both correlations of distances (N,) with scores (N,), by SciPy; NaN if all distances are equal."""
    from scipy import stats  # imported here, since it takes longer than all of this package

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.ConstantInputWarning)
        spearman = stats.spearmanr(-distance, mos).statistic
        kendall = stats.kendalltau(-distance, mos, variant="b").statistic
    return {"spearman": float(spearman), "kendall": float(kendall)}


class ReferenceBootstrap:
    """Resamples of references, the same for all methods and sizes.

    Args:
        mos: scores (N,), ordered by reference; groups: number of images of each reference.
        replicates: number of resamples; seed: of their generator.
    """

    def __init__(self, mos: np.ndarray, groups: Sequence[int], replicates: int, seed: int):
        # The name is fixed, so that earlier tables stay reproducible.
        self.counts = bootstrap_counts(len(groups), replicates, seed, "tid2013").astype(np.float64)
        self.starts = np.cumsum([0, *groups[:-1]])
        self.group = np.repeat(np.arange(len(groups)), groups)
        self.mos = _signs(mos)
        self.mos_sums, self.mos_untied = self._sums(self.mos), self._pairs(abs(self.mos))

    def replicates(self, distance: np.ndarray) -> dict[str, np.ndarray]:
        """Both correlations of distances (N,) in each resample, (B,); NaN if all its distances or scores are equal."""
        signs = _signs(-distance)
        with np.errstate(invalid="ignore"):  # 0/0
            return {"spearman": self._spearman(signs), "kendall": self._kendall(signs)}

    def _spearman(self, signs: np.ndarray) -> np.ndarray:
        sums = self._sums(signs), self.mos_sums
        parts = []
        for start in range(0, len(self.counts), BLOCK):
            counts = self.counts[start : start + BLOCK].T
            x, y = (matrix @ counts for matrix in sums)  # twice the centered ranks
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
        """The sums of a matrix of pairs (N, N) over the pairs of each resample, (B,)."""
        sums = np.add.reduceat(np.add.reduceat(matrix, self.starts, axis=0, dtype=np.int64), self.starts, axis=1)
        found: np.ndarray = np.einsum("br,rs,bs->b", self.counts, sums, self.counts, optimize=True)
        return found


def _signs(values: np.ndarray) -> np.ndarray:
    """The signs of the differences of all pairs, 1 if the first is larger, int8 (N, N)."""
    larger = (values[:, None] > values).astype(np.int8)
    return larger - larger.T
