"""All pairs of methods on the page, per column: as sentences, ranks and a matrix."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lpips_repro.evaluation.protocols import PROTOCOLS
from lpips_repro.report.all_pairs import AllPairs, Column, Matrix, is_decided


@dataclass(frozen=True)
class PairColumn:
    """A column of a table.

    Attributes:
        key: key in the address of the page; kind, title, name, n: see `Column`.
        is_first: whether it is selected at first.
        sentences: the decided and the other pairs in words.
        ranks: method, score, best and worst rank, the best score first.
        matrix: numbers of all pairs, for the JavaScript of the page.
    """

    key: str
    kind: str
    title: str
    name: str
    n: int
    is_first: bool
    sentences: Sequence[str]
    ranks: Sequence[tuple[str, str, int, int]]
    matrix: dict[str, Any] = field(repr=False)

    @property
    def count(self) -> int:
        """The number of pairs."""
        return len(self.ranks) * (len(self.ranks) - 1) // 2

    @property
    def decided(self) -> int:
        """The number of decided pairs."""
        return sum(itertools.chain(*self.matrix["decided"])) // 2


def pair_columns(found: AllPairs) -> list[PairColumn]:
    """Return the columns of all tables. The last one of the first table, which summarizes it, is selected at first."""
    kind = found.columns[0].kind
    first = [column for column in found.columns if column.kind == kind][-1]
    return [_column(column, column is first) for column in found.columns]


def _column(column: Column, is_first: bool) -> PairColumn:
    protocol = PROTOCOLS[column.kind]
    scores = [f"{score:.{protocol.shown}f}" for score in column.scores]
    ranks = [(shown, score, *ends) for shown, score, ends in zip(column.shown, scores, column.ranks, strict=True)]
    numbers = {"difference": column.difference, "low": column.low, "high": column.high}
    rounded = {key: _rounded(matrix, protocol.decimals) for key, matrix in numbers.items()}
    decided = [[is_decided(value) for value in line] for line in column.p_holm]
    p = [[value if value is None else float(f"{value:.3g}") for value in line] for line in column.p_holm]
    return PairColumn(
        key=f"{column.kind}.{column.name}",
        kind=column.kind,
        title=column.title,
        name=column.name,
        n=column.n,
        is_first=is_first,
        # The banner of the page already names observers that are not human.
        sentences=column.sentences if column.observers == "human" else column.sentences[1:],
        ranks=ranks,
        matrix={"shown": column.shown, "decimals": protocol.shown, "p": p, "decided": decided, **rounded},
    )


def _rounded(matrix: Matrix, decimals: int) -> Matrix:
    return [[None if value is None else round(value, decimals) for value in line] for line in matrix]
