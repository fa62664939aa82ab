"""Two alternatives, forced choice (paper, section 4.1): which of two patches is more similar to the reference?

The credit of a metric in a triplet is the share of judges who agree with it. Scores take one-dimensional arrays or
tensors, and are means in [0, 1].
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from lpips_repro.datasets.split import Split
from lpips_repro.evaluation.protocols.protocol import Distances, MeanProtocol, Values, check_shares, vectors_of
from lpips_repro.evaluation.protocols.registry import PROTOCOLS, register_protocol

# Without dissent both rows of observers would be 100 %.
NO_DISSENT = (
    "all votes are 0 or 1 (one judgment per triplet, or judges who all agree), which do not show how much judges agree"
)


def twoafc_score(d0: Values, d1: Values, judge: Values) -> float:
    """The 2AFC score of the distances of p0 and p1 from the reference.

    Args:
        d0, d1: distances (N,).
        judge: share of judges who chose p1 (N,), in [0, 1].

    Returns:
        Mean agreement in [0, 1]; a tie d0 = d1 counts one half.

    Raises:
        ValueError: if shapes are wrong, the split is empty, a distance is NaN, or a share is outside [0, 1].
    """
    return float(twoafc_credits(d0, d1, judge).mean())


def twoafc_credits(d0: Values, d1: Values, judge: Values) -> np.ndarray:
    """The credits of triplets, float64 (N,), whose mean is the score; arguments as for `twoafc_score`."""
    d0, d1, judge = vectors_of(d0=d0, d1=d1, judge=judge)
    check_shares("judge", judge)
    return np.where(d0 == d1, 0.5, np.where(d1 < d0, judge, 1 - judge))


def human_twoafc(judge: Values) -> float:
    """The score of a random judge against the others: the mean of p^2 + (1 - p)^2."""
    return float(human_credits(judge).mean())


def human_credits(judge: Values) -> np.ndarray:
    """p^2 + (1 - p)^2 for each triplet, float64 (N,)."""
    (judge,) = vectors_of(judge=judge)
    check_shares("judge", judge)
    found: np.ndarray = judge**2 + (1 - judge) ** 2
    return found


def oracle_twoafc(judge: Values) -> float:
    """The best possible score of a metric, which always agrees with the majority: the mean of max(p, 1 - p)."""
    return float(oracle_credits(judge).mean())


def oracle_credits(judge: Values) -> np.ndarray:
    """max(p, 1 - p) for each triplet, float64 (N,)."""
    (judge,) = vectors_of(judge=judge)
    check_shares("judge", judge)
    found: np.ndarray = np.maximum(judge, 1 - judge)
    return found


def has_dissent(votes: np.ndarray) -> bool:
    """Whether the judges of any triplet disagree, so that not all shares (N,) are 0 or 1."""
    return not np.isin(votes, (0, 1)).all()


def names_without_dissent(splits: Sequence[Split]) -> str:
    """The names of splits without dissent, as text."""
    return ", ".join(split.card["split"] for split in splits if not has_dissent(split.votes))


@register_protocol
class TwoAFC(MeanProtocol):
    """The share of judges who agree with the distances."""

    name = kind = "2afc"
    title = "2AFC score (%)"
    file = "twoafc"
    images = ("ref", "p0", "p1")
    vote = "judge"
    distances = ("d0", "d1")
    # Paper, Table 5: each average is the plain mean of its splits.
    averages: ClassVar = {
        "distortions": ("traditional", "cnn"),
        "real": ("superres", "deblur", "color", "frameinterp"),
        "all": ("traditional", "cnn", "superres", "deblur", "color", "frameinterp"),
    }
    columns_in_order = (
        *("traditional", "cnn", "distortions"),
        *("superres", "deblur", "color", "frameinterp", "real", "all"),
    )
    paper = "paper_2afc.csv"
    later = "later_2afc.csv"
    statistics: ClassVar = {"agreement 2AFC %": human_twoafc, "oracle 2AFC %": oracle_twoafc}

    def credits(self, distances: Distances, votes: np.ndarray) -> np.ndarray:
        """The share of judges who agree, in each triplet."""
        return twoafc_credits(distances["d0"], distances["d1"], votes)

    def observers(self, votes: np.ndarray) -> dict[str, np.ndarray]:
        """A random judge against the others, and the oracle, which agrees with the majority; none without dissent."""
        if not has_dissent(votes):
            return {}
        return {"observer": human_credits(votes), "oracle": oracle_credits(votes)}

    def why_no_observers(self, splits: Sequence[Split]) -> str:
        """The reason, with the names of splits without dissent."""
        names = names_without_dissent(splits)
        return f"No scores of observers on {names}: {NO_DISSENT}." if names else ""


TWOAFC = PROTOCOLS[TwoAFC.name]
