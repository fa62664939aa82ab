"""The base class of protocols, and bootstrap resamples."""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from lpips_repro.datasets.packing.layout import split_order
from lpips_repro.datasets.split import Split

Distances = Mapping[str, np.ndarray]  # (N,) by column
BySplit = Mapping[str, Any]  # scores, or arrays of their replicates
Values = np.ndarray | torch.Tensor

# Resamples per block, which limits the memory of a bootstrap.
BLOCK = 64


class Resamples:
    """The bootstrap resamples of a split's items, the same for all rows. A subclass may draw something else.

    Attributes:
        redrawn: number of resamples that were drawn again, since they had no score: see `Protocol.needed`.
    """

    def __init__(self, protocol: "Protocol", split: Split, size: int, seed: int):
        self.protocol, self.votes = protocol, split.votes
        self.counts = bootstrap_counts(len(split), size, seed, split.name)
        needed = protocol.needed(self.votes)
        self.redrawn = 0 if needed is None else redraw_without(self.counts, needed, seed, split.name)

    def scores(self, distances: Distances) -> np.ndarray:
        """The scores of distances (N,) by column in each resample, float64 (B,)."""
        return self.protocol.replicates(distances, self.votes, self.counts)

    def means(self, credits_: np.ndarray) -> np.ndarray:
        """The mean of credits (N,) in each resample, float64 (B,)."""
        found: np.ndarray = self.counts @ credits_ / len(credits_)
        return found


class Protocol(ABC):
    """A question to observers, the score of distances from the answers, and the form of the table.

    A subclass sets the attributes and defines `score`.

    Attributes:
        name: name of the protocol, as in the column `kind` of scores.csv; title: title of its table.
        file: name of its tables' files, without suffix.
        kind: kind of the splits that it scores; several protocols may score one kind.
        images: the image fields of a packed split; the first is compared with the others; empty if it is not packed.
        vote: the field with the share of answers; distances: the names of the distances, one per other image.
        averages: the columns that are means, with their splits; columns_in_order: the paper's columns.
        paper: file of published figures in the folder of reference tables, if any; paper_columns: names of columns
            that differ there; later: file of later publications' figures, if any.
        scale: factor from a score to the table's figure; decimals: decimals in the CSV; shown: decimals in other
            tables; interval: format of an interval there; interval_in_each: whether all columns show an interval
            there, or only the last.
        best: max or min, the better of scores.
        one_by_one: whether a method that fails on one split has scores on the others, without averages; if not, it
            has no scores.
        undefined: why the score of some distances is NaN, if it may be.
        score_name: the score's name in messages; why_undefined: why it is undefined if no example is `needed`.
        bfloat16: a warning for networks in bfloat16, if any.
        statistics: functions of the shares in [0, 1], such as agreement, by name.
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
        """The protocol for the table of these splits: itself, unless title and file depend on them."""
        return self

    def interval_text(self, low: float, high: float) -> str:
        """An interval as tables show it: rounded from the CSV's decimals, so that a table that is read back agrees."""
        return self.interval.format(*(float(f"{end:.{self.decimals}f}") for end in (low, high)))

    @abstractmethod
    def score(self, distances: Distances, votes: np.ndarray) -> Any:
        """The score of distances (N,) by column, given the answers (N,): a number, or several (scores,)."""

    def credits(self, distances: Distances, votes: np.ndarray) -> np.ndarray | None:
        """The credit of each example, float64 (N,), if the score is their mean; None by default."""
        return None

    def resamples(self, splits: Sequence[Split], size: int, seed: int) -> Mapping[str, Resamples]:
        """The resamples of each split, by name; size: their number."""
        return {split.name: Resamples(self, split, size, seed) for split in splits}

    def replicates(self, distances: Distances, votes: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """The scores of resamples, float64 (B,); counts: number of draws of each example in each resample, (B, N).

        A subclass may compute them faster than one by one.
        """
        scores = [
            self.score({name: values.repeat(drawn) for name, values in distances.items()}, votes.repeat(drawn))
            for drawn in counts
        ]
        return np.array(scores, np.float64)

    def observers(self, votes: np.ndarray) -> Mapping[str, np.ndarray]:
        """The credits (N,) of rows of observers, by name; "observer" is a single observer. None by default."""
        return {}

    def needed(self, votes: np.ndarray) -> np.ndarray | None:
        """The examples, bool (N,), of which a resample needs at least one for a score; None if it needs none."""
        return None

    def columns(self, splits: Sequence[str]) -> tuple[str, ...]:
        """The columns for these splits: the paper's for its own splits, else the splits and their mean, "all"."""
        if self.averages and set(splits) == set(self.averages["all"]):
            return self.columns_in_order
        return (*sorted(splits, key=split_order), "all")

    def add_averages(self, values: BySplit, mean: Callable[[list[Any]], Any] = lambda of: sum(of) / len(of)) -> BySplit:
        """Values by split with averages, in the order of the columns; mean: the mean of a list of values."""
        columns = self.columns(tuple(values))
        averages = self.averages if columns == self.columns_in_order else {"all": tuple(values)}
        means = {name: mean([values[split] for split in members]) for name, members in averages.items()}
        return {column: means[column] if column in means else values[column] for column in columns}

    def counts(self, counts: Mapping[str, int]) -> Mapping[str, int]:
        """The number of items of each column, from those of each split."""
        return self.add_averages(counts, sum)

    def caption(self, splits: Sequence[Split]) -> str | None:
        """The description of a table's figures; None if the observers are enough."""
        return None

    def remarks(self, splits: Sequence[Split]) -> str:
        """Additional remarks of a table's caption, or ""."""
        return ""

    def why_no_observers(self, splits: Sequence[Split]) -> str:
        """The reason why rows of observers have no scores on some splits, or ""."""
        return ""

    def settings(self, splits: Sequence[Split]) -> Mapping[str, Any]:
        """Additional settings of each row of a table."""
        return {}

    def reason(self, splits: Sequence[Split], fault: str) -> str:
        """The reason why a method has no scores on some splits, from its error on them."""
        return f"not run: on {' and '.join(split.name for split in splits)}: {fault}"

    def blocks(self, columns: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        """The shown tables by heading, each with columns by shown name. The last column is the overall score."""
        return {"": {column: column for column in columns}}


class MeanProtocol(Protocol):
    """A protocol whose score is the mean of credits. A subclass defines `credits`."""

    @abstractmethod
    def credits(self, distances: Distances, votes: np.ndarray) -> np.ndarray:
        """The credit of each example, float64 (N,)."""

    def score(self, distances: Distances, votes: np.ndarray) -> float:
        """The mean of the credits."""
        return float(self.credits(distances, votes).mean())

    def replicates(self, distances: Distances, votes: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """The means of credits in resamples."""
        found: np.ndarray = counts @ self.credits(distances, votes) / len(votes)
        return found


def bootstrap_counts(size: int, replicates: int, seed: int, split: str) -> np.ndarray:
    """The numbers of draws of `size` examples in `replicates` resamples with replacement, int16 (B, N).

    A seed and split always give the same resamples, so that all methods are compared on the same ones. Other splits
    have other resamples, so that errors of splits are independent in averages.
    """
    return _resamples(np.random.default_rng([seed, zlib.crc32(split.encode())]), size, replicates)


def redraw_without(counts: np.ndarray, needed: np.ndarray, seed: int, split: str) -> int:
    """Draw resamples again that have none of the needed examples; return their number.

    Args:
        counts: result of `bootstrap_counts`, changed in place; seed, split: its arguments.
        needed: the needed examples, bool (N,).

    Raises:
        ValueError: if no example is needed, so that no resample can have one.
    """
    if not needed.any():
        raise ValueError("needed: expected at least one True: the score of this split is undefined: leave it out")
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
    """Arrays or tensors of equal length as float64; ValueError if one has a wrong shape, is empty or has NaN."""
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
    """Raise ValueError unless all shares are in [0, 1]."""
    outside = (shares < 0) | (shares > 1)
    if outside.any():
        index = int(outside.argmax())
        raise ValueError(f"{name}: entry {index} is {shares[index]:g}: expected shares in [0, 1]")
