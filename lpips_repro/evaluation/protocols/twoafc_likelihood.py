"""The likelihood of all 2AFC votes under a binomial decision model, after Hepburn, Santos-Rodriguez and Portilla:
"Evaluating Perceptual Distance Models by Fitting Binomial Distributions to Two-Alternative Forced Choice Data",
arXiv 2403.10390.

k of n judges of a triplet chose p1, with probability Binomial(k; n, P(d0, d1)). The empirical distribution of distances
maps them to uniform values, and P is the share of votes for p1 in the neighborhood on the unit square, by kernel
smoothing, with P(d0, d1) = 1 - P(d1, d0). Unlike the 2AFC score, the likelihood depends on the size of the majority and
on the difference of the two distances. The votes determine whether the nearer or the farther image is chosen.

Here the kernel is Gaussian, with a width by Scott's rule. P of a triplet comes from triplets of other folds, so that it
does not depend on the triplet's own votes.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.special import gammaln, xlog1py, xlogy

from lpips_repro.datasets.split import Split
from lpips_repro.evaluation.protocols.protocol import Distances
from lpips_repro.evaluation.protocols.registry import register_protocol
from lpips_repro.evaluation.protocols.twoafc import NO_DISSENT, TwoAFC, has_dissent, names_without_dissent

FOLDS = 10
GRID = 64  # cells per side of the unit square
PRIOR = 1.0  # one judgment at each place, half for each image, so that P is never 0 or 1
ABOUT = (
    "The likelihood does not depend on the direction of the distance: a similarity and its negative have the same."
    " Its intervals are for the fitted model, which is not fitted again to each resample."
)
MAX_VOTES = 100  # other shares are rounded to fractions of this number


@register_protocol
class BinomialLikelihood(TwoAFC):
    """The mean negative log-likelihood per judgment, in nats."""

    name = "2afc-likelihood"
    title = "2AFC negative log-likelihood per judgment (nats, lower is better)"
    file = "twoafc_likelihood"
    paper = later = ""
    scale = 1
    decimals = 4
    shown = 3
    interval = "{:.3f}–{:.3f}"
    best: ClassVar = min
    statistics: ClassVar = {}

    def credits(self, distances: Distances, votes: np.ndarray) -> np.ndarray:
        """The negative log-likelihood per judgment of each triplet, float64 (N,)."""
        probability = decision_probability(distances["d0"], distances["d1"], votes)
        return negative_log_likelihood(probability, votes)

    def observers(self, votes: np.ndarray) -> dict[str, np.ndarray]:
        """The oracle, a model that knows the share of each triplet, and chance, a model that knows nothing.

        Without dissent there is only chance, since the oracle is always 0.
        """
        oracle = {"oracle": votes.astype(np.float64)} if has_dissent(votes) else {}
        known = {**oracle, "chance": np.full(len(votes), 0.5)}
        return {name: negative_log_likelihood(probability, votes) for name, probability in known.items()}

    def remarks(self, splits: Sequence[Split]) -> str:
        """The limits of the likelihood."""
        names = names_without_dissent(splits)
        single = f"On {names} all votes are 0 or 1 and count as one judgment per triplet." if names else ""
        return " ".join((ABOUT, *[single] * bool(single)))

    def why_no_observers(self, splits: Sequence[Split]) -> str:
        """The reason, with the names of splits without dissent."""
        names = names_without_dissent(splits)
        return f"No score of the oracle on {names}: {NO_DISSENT}." if names else ""


def negative_log_likelihood(probability: np.ndarray, judge: np.ndarray) -> np.ndarray:
    """-log Binomial(k; n, P) / n of each triplet, float64 (N,), in nats.

    Args:
        probability: probability that a judge chooses p1 (N,), in [0, 1]; judge: share of judges who chose p1 (N,).
    """
    n = number_of_votes(judge)
    k = np.round(n * judge.astype(np.float64))
    ways = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    found: np.ndarray = -(ways + xlogy(k, probability) + xlog1py(n - k, -probability)) / n
    return found


def number_of_votes(judge: np.ndarray) -> int:
    """The least n for which all shares (N,) are fractions of n judges: 5 in BAPPS's validation splits."""
    shares = judge.astype(np.float64)
    whole = (n for n in range(1, MAX_VOTES) if np.abs(n * shares - np.round(n * shares)).max() < 1e-3)
    return next(whole, MAX_VOTES)


def decision_probability(d0: np.ndarray, d1: np.ndarray, judge: np.ndarray) -> np.ndarray:
    """The probability that a judge chooses p1 in each triplet, fitted to votes of other triplets, float64 (N,).

    Args:
        d0, d1: distances of p0 and p1 (N,); judge: share of judges who chose p1 (N,).
    """
    from scipy.stats import rankdata  # imported here: see `rank_correlation`

    count = len(judge)
    uniform = (rankdata(np.concatenate([d0, d1])).reshape(2, count) - 0.5) / (2 * count)
    cells = GRID * uniform - 0.5  # cells have their centers at 0, 1, 2 and so on
    width = GRID / np.sqrt(12) * count ** (-1 / 6)  # Scott's rule for a uniform distribution in two dimensions
    fold, votes = np.arange(count) % FOLDS, number_of_votes(judge)
    probability = np.empty(count)
    for held_out in range(min(FOLDS, count)):
        others, own = fold != held_out, fold == held_out
        surface = _smooth_share(cells[:, others], judge[others], votes, width)
        probability[own] = map_coordinates(surface, cells[:, own], order=1, mode="nearest")
    return probability


def _smooth_share(cells: np.ndarray, judge: np.ndarray, votes: int, width: float) -> np.ndarray:
    """The share of votes for p1 around each place of the grid, (GRID, GRID), for triplets at `cells` (2, N)."""
    mirrored = np.concatenate([cells, cells[::-1]], axis=1)
    place = tuple(np.clip(np.round(mirrored), 0, GRID - 1).astype(int))
    chosen, judged = np.zeros((2, GRID, GRID))
    np.add.at(chosen, place, votes * np.concatenate([judge, 1 - judge]))
    np.add.at(judged, place, votes)
    kernel = 2 * np.pi * width**2  # so that a judgment at the same place counts 1
    chosen, judged = (kernel * gaussian_filter(each, width, mode="reflect") for each in (chosen, judged))
    share: np.ndarray = (chosen + PRIOR / 2) / (judged + PRIOR)
    return share
