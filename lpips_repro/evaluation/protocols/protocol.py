"""What a protocol is, and the registry of protocols."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from lpips_repro.datasets.packed import IMAGE_FIELDS, VOTE_FIELD, PackedSplit
from lpips_repro.datasets.packing.layout import split_order
from lpips_repro.errors import check_new

Distances = Mapping[str, np.ndarray]  # by column, (N,) each
Values = Mapping[str, Any]  # by split: scores, or arrays of their replicates


class Protocol:
    """A question put to observers, the score of distances by the answers, and the form of the table.

    A subclass sets the attributes, and defines `score` and `replicates`.

    Attributes:
        name: of the protocol, as in the column `kind` of scores.csv; title: of its table.
        file: name of its tables' files, without suffix.
        kind: of the packed splits that it scores; several protocols may score one kind in different ways.
        images: the fields of such a split that are shown, the image that the others are compared with first; empty if
            what it scores is not packed.
        vote: the field with the share of answers; distances: the names of the distances, one per other image.
        averages: the columns that are plain means, each with its splits; columns_in_order: the paper's columns.
        paper: file of the published figures in the folder of reference tables, if any; paper_columns: the columns that
            have another name there.
        scale: from a score to what the table shows; decimals: in the CSV; shown: in the other tables; interval: the
            format of an interval in these; interval_in_each: whether each column has one there, or only the last.
        best: max or min, the better of two scores.
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
    score_name: str = "score"
    needs: str = ""
    bfloat16: str = ""
    statistics: ClassVar[Mapping[str, Callable[[np.ndarray], float]]] = {}

    def score(self, distances: Distances, votes: np.ndarray) -> float:
        """The score of distances (N,) by column, given the shares of answers (N,)."""
        raise NotImplementedError

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


def protocol_of(split: PackedSplit) -> Protocol:
    """The first protocol for the kind of a split: its fields and distances are those of every other one."""
    return next(protocol for protocol in PROTOCOLS.values() if protocol.kind == split.card["kind"])
