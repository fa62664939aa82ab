"""The triplets in which two methods differ most from the votes and from each other.

    from lpips_repro.evaluation import disagreements, evaluate

    one, other = (evaluate(method, "mini/val/traditional") for method in ("ssim", "l2-rgb"))
    disagreements(one, other)[0]

These are the triplets in which the methods choose different images, or both choose against the votes, ranked by

    |2 judge - 1| * (decision_a + decision_b) / 2

The first factor is large if the votes are clear, the second if the methods are decided. A method's decision is the
share of the split's triplets whose two distances differ at most as much, so that the scale of a method does not matter.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.datasets.packing.file_names import image_files
from lpips_repro.datasets.split import Split
from lpips_repro.errors import UserError
from lpips_repro.evaluation.one_method import Evaluation
from lpips_repro.evaluation.protocols import Distances
from lpips_repro.evaluation.protocols.twoafc import TWOAFC, twoafc_credits

NEITHER = "neither"  # both methods are against the votes


@dataclass(frozen=True)
class Answer:
    """The answer of a method to a triplet.

    Attributes:
        label: label of the method; d0, d1: the distances of p0 and p1 from the reference.
        verdict: "p0", "p1" or "tie"; credit: the share of judges who agree, or one half for a tie.
    """

    label: str
    d0: float
    d1: float
    verdict: str
    credit: float


@dataclass(frozen=True)
class Disagreement:
    """A triplet in which two methods choose different images, or both choose against the votes.

    Attributes:
        split: name of the split, such as "2afc/val/cnn"; index: index of the triplet in the packed split.
        files: the image files of ref, p0 and p1, relative to the dataset's folder; empty if they were never files.
        judge: share of judges who chose p1; observers: who judged.
        better: the label of the method that more judges agree with; "neither" if both are against the votes.
        strength: the value that they are sorted by, in (0, 1].
        answers: the answers of the two methods.
    """

    split: str
    index: int
    files: dict[str, str]
    judge: float
    observers: str
    better: str
    strength: float
    answers: tuple[Answer, Answer]


def disagreements(one: Evaluation, other: Evaluation, most: int | None = None) -> list[Disagreement]:
    """The triplets in which two methods differ most from the votes and from each other, in descending order.

    Args:
        one, other: evaluations of two methods on the same packed 2AFC split; most: most triplets; None for all.

    Raises:
        UserError: if the splits differ or are not 2AFC, or if the methods have the same label.
    """
    if one.split.identity != other.split.identity:
        where = f"{one.label} ran on {one.split.name}, {other.label} on {other.split.name}"
        raise UserError(f"{where}: expected the same split and data")
    if one.label == other.label:
        raise UserError(f"{one.label}: two methods have this label: give one of them another name")
    return disagreements_on(one.split, {each.label: each.distances for each in (one, other)})[:most]


def disagreements_on(split: Split, distances: Mapping[str, Distances]) -> list[Disagreement]:
    """As `disagreements`, from the distances of two methods by label."""
    packed = _triplets_of(split)
    first, second, strength = _both(packed, distances)
    against = (first.credits < 0.5) & (second.credits < 0.5)
    chosen = ((first.credits != second.credits) | against) & (strength > 0)
    return _chosen(packed, first, second, strength, chosen)


def flips_on(split: Split, distances: Mapping[str, Distances]) -> list[Disagreement]:
    """The triplets in which two methods choose different images, for any votes, in descending order of strength."""
    packed = _triplets_of(split)
    first, second, strength = _both(packed, distances)
    return _chosen(packed, first, second, strength, first.chosen != second.chosen)


def _triplets_of(split: Split) -> PackedSplit:
    if split.card["kind"] != TWOAFC.kind or not isinstance(split, PackedSplit):
        raise UserError(f"{split.name}: not a packed 2AFC split: disagreements need 2AFC triplets")
    return split


def _both(split: PackedSplit, distances: Mapping[str, Distances]) -> tuple["_Answers", "_Answers", np.ndarray]:
    """The answers of both methods, and the strength of each triplet (N,)."""
    first, second = (_Answers(label, of_label, split.votes) for label, of_label in distances.items())
    clear = np.abs(2 * split.votes.astype(np.float64) - 1)
    return first, second, clear * (first.decision + second.decision) / 2


def _chosen(
    split: PackedSplit, first: "_Answers", second: "_Answers", strength: np.ndarray, chosen: np.ndarray
) -> list[Disagreement]:
    """The chosen triplets, in descending order of strength."""
    order = np.flatnonzero(chosen)
    order = order[np.argsort(-strength[order], kind="stable")]
    files = image_files(split)
    votes, found = split.votes, []
    for index in map(int, order):
        best = first if first.credits[index] > second.credits[index] else second
        better = best.label if first.credits[index] != second.credits[index] else NEITHER
        names = {name: files[name][index] for name in files}
        about = (float(votes[index]), split.card["observers"], better, float(strength[index]))
        found.append(Disagreement(split.name, index, names, *about, (first.of(index), second.of(index))))
    return found


class _Answers:
    """The answers of a method to all triplets."""

    def __init__(self, label: str, distances: Distances, votes: np.ndarray):
        self.label, self.d0, self.d1 = label, distances["d0"], distances["d1"]
        from scipy.stats import rankdata  # here: see `rank_correlation`

        self.credits = twoafc_credits(self.d0, self.d1, votes)
        self.chosen = np.where(self.d0 == self.d1, -1, self.d1 < self.d0)  # p0, p1, or -1 for a tie
        with np.errstate(invalid="ignore"):  # both may be infinite
            apart = np.where(self.d0 == self.d1, 0.0, np.abs(self.d0 - self.d1))
        self.decision = np.where(apart > 0, rankdata(apart) / len(apart), 0.0)

    def of(self, index: int) -> Answer:
        d0, d1 = float(self.d0[index]), float(self.d1[index])
        verdict = "tie" if d0 == d1 else "p0" if d0 < d1 else "p1"
        return Answer(self.label, d0, d1, verdict, float(self.credits[index]))
