"""What a protocol is, and its resamples."""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from lpips_repro.datasets.packing.layout import split_order
from lpips_repro.datasets.split import Split

Distances = Mapping[str, np.ndarray]  # by column, (N,) each
BySplit = Mapping[str, Any]  # scores, or arrays of their replicates
Values = np.ndarray | torch.Tensor

# Resamples whose weights are held at once: bounds the memory of a bootstrap.
BLOCK = 64


class Resamples:
    """The bootstrap resamples of a split, the same for all rows: of its items, unless a subclass draws something else.

    Attributes:
        redrawn: how many were drawn again because they had no score: see `Protocol.needed`.
    """

    def __init__(self, protocol: "Protocol", split: Split, size: int, seed: int):
        self.protocol, self.votes = protocol, split.votes
        self.counts = bootstrap_counts(len(split), size, seed, split.name)
        needed = protocol.needed(self.votes)
        self.redrawn = 0 if needed is None else redraw_without(self.counts, needed, seed, split.name)

    def scores(self, distances: Distances) -> np.ndarray:
        """The score of distances (N,) by column in each resample, float64 (B,)."""
        return self.protocol.replicates(distances, self.votes, self.counts)

    def means(self, credits_: np.ndarray) -> np.ndarray:
        """The mean of credits (N,) in each resample, float64 (B,)."""
        found: np.ndarray = self.counts @ credits_ / len(credits_)
        return found


class Protocol(ABC):
    """A question put to observers, the score of distances by the answers, and the form of the table.

    A subclass sets the attributes, and defines `score`.

    Attributes:
        name: of the protocol, as in the column `kind` of scores.csv; title: of its table.
        file: name of its tables' files, without suffix.
        kind: of the splits that it scores; several protocols may score one kind in different ways.
        images: the fields of a packed split that are shown, the image that the others are compared with first; empty
            if what it scores is not packed.
        vote: the field with the share of answers; distances: the names of the distances, one per other image.
        averages: the columns that are plain means, each with its splits; columns_in_order: the paper's columns.
        paper: file of the published figures in the folder of reference tables, if any; paper_columns: the columns that
            have another name there; later: file of figures that others published later, if any.
        scale: from a score to what the table shows; decimals: in the CSV; shown: in the other tables; interval: the
            format of an interval in these; interval_in_each: whether each column has one there, or only the last.
        best: max or min, the better of two scores.
        one_by_one: whether a method that fails on one split has its scores on the others, and only no averages; if not,
            it has none at all.
        undefined: why the score of some distances is NaN, if it may be.
        score_name: the score in a message; why_undefined: why it is undefined if no example is `needed`.
        bfloat16: a warning for networks in bfloat16, if any.
        statistics: figures of the votes alone, by name: functions of the shares, in [0, 1].
    """

    name: str
    title: str
    file: str
    kind: str
    images: tuple[str, ...] = ()
    vote: str = ""
    distances: tuple[str, ...] = ()
    averages: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    columns_in_order: tuple[str, ...] = ()
    paper: str = ""
    paper_columns: ClassVar[Mapping[str, str]] = {}
    later: str = ""
    scale: float = 100
    decimals: int = 2
    shown: int = 2
    interval: str = "{:.1f}–{:.1f}"
    interval_in_each: bool = True
    best: ClassVar[Any] = max
    one_by_one: bool = False
    undefined: str = ""
    score_name: str = "score"
    why_undefined: str = ""
    bfloat16: str = ""
    statistics: ClassVar[Mapping[str, Callable[[np.ndarray], float]]] = {}

    def of_splits(self, splits: Sequence[Split]) -> "Protocol":
        """The protocol of the table of these splits: itself, unless title and file depend on them."""
        return self

    @abstractmethod
    def score(self, distances: Distances, votes: np.ndarray) -> Any:
        """The score of distances (N,) by column, given the answers (N,): a number; or several, (scores,)."""

    def credits(self, distances: Distances, votes: np.ndarray) -> np.ndarray | None:
        """What each example counts, float64 (N,), if the score is their mean; None by default."""
        return None

    def resamples(self, splits: Sequence[Split], size: int, seed: int) -> Mapping[str, Resamples]:
        """So many resamples of each split, by its name."""
        return {split.name: Resamples(self, split, size, seed) for split in splits}

    def replicates(self, distances: Distances, votes: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """The score of B resamples, float64 (B,); counts (B, N): how often each example is drawn in each.

        A subclass may have a faster way than to take the score of each resample.
        """
        scores = [
            self.score({name: values.repeat(drawn) for name, values in distances.items()}, votes.repeat(drawn))
            for drawn in counts
        ]
        return np.array(scores, np.float64)

    def observers(self, votes: np.ndarray) -> Mapping[str, np.ndarray]:
        """Credits (N,), whose mean is a score, of rows of the observers: "observer" is one of them; none by default."""
        return {}

    def needed(self, votes: np.ndarray) -> np.ndarray | None:
        """Bool (N,): examples of which a resample needs at least one for a score; None if any resample has a score."""
        return None

    def columns(self, splits: Sequence[str]) -> tuple[str, ...]:
        """The columns for these splits: the paper's for its own splits, else the splits and their mean, "all"."""
        if self.averages and set(splits) == set(self.averages["all"]):
            return self.columns_in_order
        return (*sorted(splits, key=split_order), "all")

    def add_averages(self, values: BySplit, mean: Callable[[list[Any]], Any] = lambda of: sum(of) / len(of)) -> BySplit:
        """Values by split with those of the averages, in the order of the columns; mean: of a list of values."""
        columns = self.columns(tuple(values))
        averages = self.averages if columns == self.columns_in_order else {"all": tuple(values)}
        means = {name: mean([values[split] for split in members]) for name, members in averages.items()}
        return {column: means[column] if column in means else values[column] for column in columns}

    def counts(self, counts: Mapping[str, int]) -> Mapping[str, int]:
        """How many items each column has, given those of each split."""
        return self.add_averages(counts, sum)

    def caption(self, splits: Sequence[Split]) -> str | None:
        """What the figures of a table are; None: who judged is all there is to say."""
        return None

    def remarks(self, splits: Sequence[Split]) -> str:
        """What the caption of a table says in addition, if anything."""
        return ""

    def why_no_observers(self, splits: Sequence[Split]) -> str:
        """Why rows of the observers that there usually are have no scores on some splits, if so."""
        return ""

    def settings(self, splits: Sequence[Split]) -> Mapping[str, Any]:
        """What else the settings of every row of a table have."""
        return {}

    def reason(self, splits: Sequence[Split], fault: str) -> str:
        """Why a method has no scores on some splits, given its fault on all of them."""
        return f"not run: on {' and '.join(split.name for split in splits)}: {fault}"

    def blocks(self, columns: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        """The tables that are shown, by heading: columns by the name that is shown; the last column sums a row up."""
        return {"": {column: column for column in columns}}


class MeanProtocol(Protocol):
    """A protocol whose score is a mean of credits; a subclass defines `credits`."""

    @abstractmethod
    def credits(self, distances: Distances, votes: np.ndarray) -> np.ndarray:
        """What each example counts, float64 (N,)."""

    def score(self, distances: Distances, votes: np.ndarray) -> float:
        """The mean of the credits."""
        return float(self.credits(distances, votes).mean())

    def replicates(self, distances: Distances, votes: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """The means of resamples."""
        found: np.ndarray = counts @ self.credits(distances, votes) / len(votes)
        return found


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
        needed: bool (N,): the examples.

    Raises:
        ValueError: if there is no such example, so that every resample would lack it.
    """
    if not needed.any():
        raise ValueError("needed: no example is: leave the split out, whose score is undefined")
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


def vectors_of(**arrays: Values) -> list[np.ndarray]:
    """Arrays or tensors of one length as float64; ValueError naming one for another shape, none at all, or NaN."""
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
        raise ValueError(f"lengths differ: {lengths}: expected one entry per example in each")
    if 0 in lengths.values():
        raise ValueError(f"{', '.join(lengths)}: empty: expected at least one example")
    return vectors


def check_shares(name: str, shares: np.ndarray) -> None:
    """ValueError unless all shares are in [0, 1]."""
    outside = (shares < 0) | (shares > 1)
    if outside.any():
        index = int(outside.argmax())
        raise ValueError(f"{name}: entry {index} is {shares[index]:g}: expected shares in [0, 1]")
