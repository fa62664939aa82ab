"""Differences between all pairs of methods, per column of each table, and intervals of ranks.

Differences, intervals and p are computed as in `differences.csv`, from the same draws and resamples. p is adjusted for
all pairs of a column (Holm). A pair is decided if its adjusted p is at most .05. The best rank of a method is 1 plus
the number of methods that are better by a decided difference. Its worst rank is the number of all methods minus the
number of those that are worse by a decided difference. Holm's adjustment bounds the probability of any false decision
in a column, so 95 % is the level of all intervals of ranks together (al Mohamad, Goeman and van Zwet, "Simultaneous
confidence intervals for ranks with application to ranking institutions", Biometrics 2022, who use Tukey's test for the
pairs).
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lpips_repro.datasets.split import Split
from lpips_repro.errors import UserError
from lpips_repro.evaluation.protocols import PROTOCOLS
from lpips_repro.evaluation.tables.differences import Difference, pairs_of, write_differences
from lpips_repro.evaluation.tables.table import Table
from lpips_repro.files import write_csv, written_together
from lpips_repro.report.pairs_in_words import sentences_of
from lpips_repro.report.stored_tables import stored_table

log = logging.getLogger(__name__)

LEVEL = 0.05
PAIRS, RANKS = "all_pairs.csv", "ranks.csv"
RANK_COLUMNS = ("kind", "split", "label", "score", "best_rank", "worst_rank", "of", "n", "observers")
Matrix = list[list[float | None]]


@dataclass(frozen=True)
class Column:
    """All pairs of methods in one column of a table.

    Attributes:
        kind: name of the protocol; title: title of its table.
        name: name of the column; n: number of its examples.
        observers: "human", "simulated" or "unknown".
        methods: labels of the rows, the best score first; shown: their names in text.
        scores: scores of the methods, in the table's unit.
        difference: (methods, methods): score of the first method minus that of the second; low, high: its 95 %
            interval; p, p_holm: unadjusted, and adjusted for all pairs of the column. Entries are None for a method
            with itself, and if there is no interval.
        ranks: best and worst rank of each method, given the decided pairs.
        sentences: the decided and the other pairs in words.
    """

    kind: str
    title: str
    name: str
    n: int
    observers: str
    methods: list[str]
    shown: list[str]
    scores: list[float]
    difference: Matrix
    low: Matrix
    high: Matrix
    p: Matrix
    p_holm: Matrix
    ranks: list[tuple[int, int]]
    sentences: list[str]


@dataclass(frozen=True)
class AllPairs:
    """All pairs of methods of some tables.

    Attributes:
        columns: columns of all tables, in order.
        differences: differences of all pairs, as in `all_pairs.csv`.
        left_out: by protocol and label, the reasons for rows without pairs.
    """

    columns: list[Column]
    differences: list[Difference]
    left_out: dict[str, dict[str, str]]


def all_pairs(folder: Path, splits_of: Callable[[str], Sequence[Split]], experiments: Path) -> AllPairs:
    """Return all pairs of the methods of all tables in a folder.

    Args:
        folder: folder of the tables.
        splits_of: returns the splits of a kind, such as "2afc".
        experiments: folder that contains `distances/`.

    Raises:
        UserError: if no table has methods with stored distances.
    """
    columns: list[Column] = []
    differences: list[Difference] = []
    left_out, reasons = {}, []
    for protocol in PROTOCOLS.values():
        try:
            if not (splits := splits_of(protocol.kind)):
                continue
            table, bootstrap, left_out[protocol.name] = stored_table(
                folder, protocol.of_splits(splits), splits, experiments
            )
        except UserError as error:
            reasons.append(str(error))
            continue
        found = pairs_of(table, bootstrap)
        differences += found
        columns += columns_of(table, found)
    if not columns:
        raise UserError(next(iter(reasons), f"{folder}: no row of its tables has stored distances"))
    for reason in dict.fromkeys(reasons):
        log.warning("differences between all pairs: %s", reason)
    return AllPairs(columns, differences, left_out)


def columns_of(table: Table, pairs: Sequence[Difference]) -> list[Column]:
    """Return the columns of a table with scores, given the differences of all pairs of `pairs_of`."""
    return [
        _column(table, name, [one for one in pairs if one.split == name])
        for name in table.columns
        if any(name in row.scores for row in table.rows)
    ]


def write_all_pairs(folder: Path, found: AllPairs) -> list[Path]:
    """Write `all_pairs.csv` and `ranks.csv` to a folder, and return their paths."""
    with written_together(folder) as new:
        write_differences(new / PAIRS, found.differences)
        write_csv(new / RANKS, _ranks(found.columns), RANK_COLUMNS)
    return [folder / PAIRS, folder / RANKS]


def _ranks(columns: Sequence[Column]) -> Iterator[dict[str, object]]:
    for column in columns:
        decimals = PROTOCOLS[column.kind].decimals
        for label, score, ranks in zip(column.methods, column.scores, column.ranks, strict=True):
            about = (len(column.methods), column.n, column.observers)
            values = (column.kind, column.name, label, f"{score:.{decimals}f}", *ranks, *about)
            yield dict(zip(RANK_COLUMNS, values, strict=True))


def is_decided(p_holm: float | None) -> bool:
    """Return whether a pair is decided, given its adjusted p."""
    return p_holm is not None and p_holm <= LEVEL


def ranks_of(better: Sequence[Sequence[bool]]) -> list[tuple[int, int]]:
    """Return the best and worst rank of each method.

    Args:
        better: (methods, methods): whether the first method of a pair is better by a decided difference.
    """
    return [(1 + sum(each[place] for each in better), len(better) - sum(better[place])) for place in range(len(better))]


def _column(table: Table, name: str, pairs: Sequence[Difference]) -> Column:
    protocol = table.protocol
    sign = 1 if protocol.best is max else -1
    rows = sorted((row for row in table.rows if name in row.scores), key=lambda row: -sign * row.scores[name])
    known = {(one.label, one.baseline): one for one in pairs}
    numbers = [[_of_pair(row.label, other.label, known) for other in rows] for row in rows]
    difference, low, high, p, p_holm = ([[cell[place] for cell in line] for line in numbers] for place in range(5))
    better = [
        [is_decided(adjusted) and sign * (apart or 0) > 0 for apart, adjusted in zip(*lines, strict=True)]
        for lines in zip(difference, p_holm, strict=True)
    ]
    shown, observers = [row.shown for row in rows], rows[0].observers
    words = sentences_of(protocol, name, observers, shown, difference, p_holm, better)
    return Column(
        kind=protocol.name,
        title=protocol.title,
        name=name,
        n=table.counts[name],
        observers=observers,
        methods=[row.label for row in rows],
        shown=shown,
        scores=[row.scores[name] for row in rows],
        difference=difference,
        low=low,
        high=high,
        p=p,
        p_holm=p_holm,
        ranks=ranks_of(better),
        sentences=words,
    )


def _of_pair(label: str, other: str, known: Mapping[tuple[str, str], Difference]) -> tuple[float | None, ...]:
    """Difference, low, high, p and adjusted p of a pair; the pair may be known in the other order."""
    if (one := known.get((label, other))) is not None:
        return one.difference, one.low, one.high, one.p, one.p_holm
    if (one := known.get((other, label))) is not None:
        difference, low, high = (None if end is None else -end for end in (one.difference, one.high, one.low))
        return difference, low, high, one.p, one.p_holm
    return (None,) * 5
