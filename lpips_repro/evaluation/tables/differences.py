"""How far the rows of a table are from a baseline or from each other, and whether by more than chance.

Rows are compared on the same examples. If a score is the mean of what each example counts (2AFC and its likelihood), p
comes from a permutation test: see `sign_flip`. The signs are flipped within each split, and the means of the splits are
averaged as the score's are. A JND mAP or a rank correlation is no such mean: p is the share of bootstrap resamples
whose difference is at least as far from the observed one as that is from 0.

p is adjusted for the number of pairs that are compared, within a column (Holm): in `differences.csv` all rows with one
baseline, in `all_pairs.csv` of a report all pairs of methods. A best row is chosen from the same scores, which the
adjustment does not count: name the baseline in advance for a test to rely on.
"""

import dataclasses
import itertools
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lpips_repro.errors import UserError, expected
from lpips_repro.evaluation.methods.method import Method, by_seeds, label_of
from lpips_repro.evaluation.protocols import PROTOCOLS
from lpips_repro.evaluation.tables.sign_flip import flipped_means, holm, two_sided_p
from lpips_repro.evaluation.tables.table import Bootstrap, Row, Scores, Table, intervals_of
from lpips_repro.files import write_csv

log = logging.getLogger(__name__)

FILE = "differences.csv"

Pair = tuple[Row, Row]  # a row, and the one that it is compared with
# p, and how it was found, by column, then by the labels of a pair.
Tests = dict[str, dict[tuple[str, str], tuple[float, str]]]


@dataclass(frozen=True)
class Difference:
    """How much higher a row's score is than the baseline's in one column of a table, in the table's unit.

    Attributes:
        kind: the protocol; label, baseline: the two rows; split: the column.
        low, high: ends of the 95 % interval of the paired bootstrap; None if there is none.
        p: two-sided, unadjusted; p_holm: adjusted for all rows of the column; None if there is no interval.
        p_from: "permutation", "bootstrap", or "normal" for the tail beyond what their number of draws resolves.
        n: examples in the column; observers: who judged.
    """

    kind: str
    label: str
    baseline: str
    split: str
    difference: float
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    p_from: str
    n: int
    observers: str


def check_baseline(label: str | None, methods: Sequence[Method]) -> None:
    """UserError if no row of these methods has the label."""
    labels = [label_of(seeds) for seeds in by_seeds(methods)]
    if label is not None and label not in labels:
        raise UserError(f"baseline={label}: no such row: {expected(label, labels)}")


def differences_of(table: Table, bootstrap: Bootstrap, baseline: str | None = None) -> list[Difference]:
    """The differences of all rows with scores from a baseline, by row, then by column.

    Args:
        table: with all rows that `make_table` made; bootstrap: its resamples.
        baseline: the label of a row; None for the best method in the column that sums a row up.

    Returns:
        None of a column that the row or the baseline has no score in; none at all without a baseline that has scores.
    """
    base = _baseline(table, baseline)
    if base is None:
        if baseline is not None:
            log.warning("baseline=%s: no scores in the %s table: no differences there", baseline, table.protocol.name)
        return []
    return _compared([(row, base) for row in table.rows if row.scores and row is not base], table, bootstrap)


def pairs_of(table: Table, bootstrap: Bootstrap) -> list[Difference]:
    """The differences of all pairs of methods with scores, each pair once; arguments as for `differences_of`."""
    methods = [row for row in table.rows if row.scores and row.group != "observers"]
    return _compared([*itertools.combinations(methods, 2)], table, bootstrap)


def _compared(pairs: Sequence[Pair], table: Table, bootstrap: Bootstrap) -> list[Difference]:
    is_mean = any(row.credits for pair in pairs for row in pair)
    tests = _permuted(pairs, bootstrap) if is_mean else _resampled(pairs)
    adjusted = {column: holm({labels: p for labels, (p, _) in found.items()}) for column, found in tests.items()}
    differences = []
    for row, base in pairs:
        labels = row.label, base.label
        scores, intervals = difference_of_rows(row, base)
        for column in (column for column in table.columns if column in scores):
            p, how = tests.get(column, {}).get(labels, (None, ""))
            low, high = intervals.get(column, (None, None))
            about = (table.protocol.name, *labels, column, scores[column])
            p_holm = adjusted.get(column, {}).get(labels)
            differences.append(Difference(*about, low, high, p, p_holm, how, table.counts[column], row.observers))
    return differences


def difference_of_rows(row: Row, base: Row) -> Scores:
    """How much higher the scores of a row are, by column, and the 95 % intervals of the paired bootstrap."""
    both = [column for column in row.scores if column in base.scores]
    return {column: row.scores[column] - base.scores[column] for column in both}, intervals_of(_replicates(row, base))


def write_differences(path: Path, differences: Iterable[Difference]) -> None:
    """Write differences as a CSV: one more decimal than in the tables, and three digits of p."""
    write_csv(path, map(_line, differences), [field.name for field in dataclasses.fields(Difference)])


def _line(one: Difference) -> dict[str, str]:
    points = f".{PROTOCOLS[one.kind].decimals + 1}f"
    formats = dict.fromkeys(("difference", "low", "high"), points) | dict.fromkeys(("p", "p_holm"), ".3g")
    line = {key: value for key, value in dataclasses.asdict(one).items() if value is not None}
    return {key: format(value, formats.get(key, "")) for key, value in line.items()}


def _baseline(table: Table, label: str | None) -> Row | None:
    """The row to compare with, if it has scores: by its label, or the best method."""
    rows = [row for row in table.rows if row.scores and row.group != "observers"]
    if label is not None:
        return next((row for row in rows if row.label == label), None)
    *_, column = next(iter(table.protocol.blocks(table.columns).values())).values()
    rows = [row for row in rows if column in row.scores]
    best = table.protocol.best([row.scores[column] for row in rows], default=None)
    return next((row for row in rows if row.scores[column] == best), None)


def _replicates(row: Row, base: Row) -> dict[str, np.ndarray]:
    """The difference in each resample, by the columns that both have."""
    both = row.replicates.keys() & base.replicates.keys()
    found = {column: row.replicates[column] - base.replicates[column] for column in both}
    return {column: values for column, values in found.items() if not np.isnan(values).all()}


def _permuted(pairs: Sequence[Pair], bootstrap: Bootstrap) -> Tests:
    """p of each pair by column, from the credits of the examples, with random signs of their differences.

    One draw has the same signs for all rows, so the flipped mean of a difference is the difference of flipped means.
    """
    rows = {row.label: row for pair in pairs for row in pair}
    places = {label: place for place, label in enumerate(rows)}
    draws, variance = {}, {}
    for split, votes in bootstrap.votes.items():
        none = np.full(len(votes), np.nan)
        credits_ = np.stack([row.credits.get(split, none) for row in rows.values()]) * bootstrap.protocol.scale
        draws[split] = flipped_means(credits_, bootstrap.seed, bootstrap.names[split])
        apart = (credits_[places[row.label]] - credits_[places[base.label]] for row, base in pairs)
        variance[split] = np.array([each @ each for each in apart]) / len(votes) ** 2
    add_averages = bootstrap.protocol.add_averages
    deviation = add_averages(variance, lambda of: sum(of) / len(of) ** 2)
    tests: Tests = {}
    for column, of_rows in add_averages(draws).items():
        for of_pair, (row, base) in zip(deviation[column], pairs, strict=True):
            if column in row.scores and column in base.scores:
                drawn = of_rows[places[row.label]] - of_rows[places[base.label]]
                p = two_sided_p(row.scores[column] - base.scores[column], drawn, float(np.sqrt(of_pair)))
                tests.setdefault(column, {})[row.label, base.label] = p
    return tests


def _resampled(pairs: Sequence[Pair]) -> Tests:
    """p of each pair by column, from how far the resamples are from the score itself."""
    tests: Tests = {}
    for row, base in pairs:
        for column, replicates in _replicates(row, base).items():
            if column in row.scores and column in base.scores:
                observed = row.scores[column] - base.scores[column]
                away = replicates[~np.isnan(replicates)] - observed
                p = two_sided_p(observed, away, float(away.std()), "bootstrap")
                tests.setdefault(column, {})[row.label, base.label] = p
    return tests
