"""What a protocol is, its resamples, and the registry of protocols."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from lpips_repro.datasets.packed import IMAGE_FIELDS, VOTE_FIELD
from lpips_repro.datasets.packing.layout import split_order
from lpips_repro.datasets.split import Split
from lpips_repro.errors import check_new
from lpips_repro.evaluation.scores import bootstrap_counts, redraw_without

Distances = Mapping[str, np.ndarray]  # by column, (N,) each
Values = Mapping[str, Any]  # by split: scores, or arrays of their replicates


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


class Protocol:
    """A question put to observers, the score of distances by the answers, and the form of the table.

    A subclass sets the attributes, and defines `score` and `replicates`.

    Attributes:
        name: of the protocol, as in the column `kind` of scores.csv; title: of its table.
        file: name of its tables' files, without suffix.
        kind: of the splits that it scores; several protocols may score one kind in different ways.
        images: the fields of a packed split that are shown, the image that the others are compared with first; empty
            if what it scores is not packed.
        vote: the field with the share of answers; distances: the names of the distances, one per other image.
        averages: the columns that are plain means, each with its splits; columns_in_order: the paper's columns.
        paper: file of the published figures in the folder of reference tables, if any; paper_columns: the columns that
            have another name there.
        scale: from a score to what the table shows; decimals: in the CSV; shown: in the other tables; interval: the
            format of an interval in these; interval_in_each: whether each column has one there, or only the last.
        best: max or min, the better of two scores.
        one_by_one: whether a method that fails on one split has its scores on the others, and only no averages; if not,
            it has none at all.
        undefined: why the score of some distances is NaN, if it may be.
        score_name: the score in a message; needs: what is missing if a score is undefined: see `needed`.
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
    scale: float = 100
    decimals: int = 2
    shown: int = 2
    interval: str = "{:.1f}–{:.1f}"
    interval_in_each: bool = True
    best: ClassVar[Any] = max
    one_by_one: bool = False
    undefined: str = ""
    score_name: str = "score"
    needs: str = ""
    bfloat16: str = ""
    statistics: ClassVar[Mapping[str, Callable[[np.ndarray], float]]] = {}

    def of_splits(self, splits: Sequence[Split]) -> "Protocol":
        """The protocol of the table of these splits: itself, unless title and file depend on them."""
        return self

    def score(self, distances: Distances, votes: np.ndarray) -> Any:
        """The score of distances (N,) by column, given the answers (N,): a number; or several, (scores,)."""
        raise NotImplementedError

    def resamples(self, splits: Sequence[Split], size: int, seed: int) -> Mapping[str, Resamples]:
        """So many resamples of each split, by its name."""
        return {split.name: Resamples(self, split, size, seed) for split in splits}

    def replicates(self, distances: Distances, votes: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """The score of B resamples, float64 (B,); counts (B, N): how often each example is drawn in each."""
        raise NotImplementedError

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

    def add_averages(self, values: Values, mean: Callable[[list[Any]], Any] = lambda of: sum(of) / len(of)) -> Values:
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

    def credits(self, distances: Distances, votes: np.ndarray) -> np.ndarray:
        """What each example counts, float64 (N,)."""
        raise NotImplementedError

    def score(self, distances: Distances, votes: np.ndarray) -> float:
        """The mean of the credits."""
        return float(self.credits(distances, votes).mean())

    def replicates(self, distances: Distances, votes: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """The means of resamples."""
        found: np.ndarray = counts @ self.credits(distances, votes) / len(votes)
        return found


PROTOCOLS: dict[str, Protocol] = {}


def register_protocol(cls: type[Protocol]) -> type[Protocol]:
    """Register an instance of a protocol; datasets in the layout of BAPPS may have splits of its kind from then on.

    Raises:
        UserError: if a protocol of this name is registered already.
        ValueError: if the fields are not those of other protocols of this kind.
    """
    protocol = cls()
    check_new("protocol", protocol.name, PROTOCOLS)
    if protocol.images:
        known = (
            IMAGE_FIELDS.setdefault(protocol.kind, protocol.images),
            VOTE_FIELD.setdefault(protocol.kind, protocol.vote),
        )
        if known != (protocol.images, protocol.vote):
            raise ValueError(f"protocol {protocol.name}: splits of kind {protocol.kind} have the fields {known}")
    PROTOCOLS[protocol.name] = protocol
    return cls


def protocol_of(split: Split) -> Protocol:
    """The first protocol for the kind of a split: its fields and distances are those of every other one."""
    return next(protocol for protocol in PROTOCOLS.values() if protocol.kind == split.card["kind"])
