"""Tables and CSV files of `make compare`: scores, settings, and verdicts that differ."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

from lpips_repro.datasets.split import Split
from lpips_repro.evaluation.disagreement import NEITHER, Disagreement
from lpips_repro.evaluation.tables.differences import Difference
from lpips_repro.evaluation.tables.table import Row, Table
from lpips_repro.files import write_csv

ABSENT = "–"
COLUMNS = (
    *("kind", "split", "run", "score", "low", "high", "difference", "difference_low", "difference_high"),
    *("p", "p_holm", "n", "observers"),
)


@dataclass(frozen=True)
class ComparedScores:
    """The scores of runs, and the differences of the others from the first run."""

    table: Table
    differences: Sequence[Difference]

    def difference(self, row: Row, column: str) -> Difference | None:
        """Return the difference of a row in a column, or None if there is none, as for the first run."""
        of_row = (one for one in self.differences if (one.label, one.split) == (row.label, column))
        return next(of_row, None)


def write_scores(path: Path, tables: Sequence[ComparedScores]) -> None:
    """Write a line per run and column: the score, its interval, and the difference from the first run."""
    write_csv(path, (line for scores in tables for line in _lines(scores)), COLUMNS)


def _lines(scores: ComparedScores) -> Iterator[dict[str, object]]:
    table = scores.table
    for column in table.columns:
        for row in (row for row in table.rows if column in row.scores):
            about = (table.counts[column], row.observers)
            values = (table.protocol.name, column, row.label, *_numbers(scores, row, column), *about)
            yield dict(zip(COLUMNS, values, strict=True))


def _numbers(scores: ComparedScores, row: Row, column: str) -> list[str]:
    decimals, one = scores.table.protocol.decimals, scores.difference(row, column)
    of_score = [row.scores[column], *row.interval.get(column, (None, None))]
    apart = [one.difference, one.low, one.high] if one else [None] * 3
    p = [one.p, one.p_holm] if one else [None] * 2
    places = [f".{decimals}f"] * 3 + [f".{decimals + 1}f"] * 3 + [".3g"] * 2
    values = [*of_score, *apart, *p]
    return ["" if value is None else format(value, place) for value, place in zip(values, places, strict=True)]


def score_table(scores: ComparedScores) -> str:
    """Return a text table of the scores of the runs, the differences from the first run, and p."""
    table, shown = scores.table, scores.table.protocol.shown
    lines = []
    for column in table.columns:
        line = {"split": column}
        for number, row in enumerate(table.rows, 1):
            line[f"run {number}"] = f"{row.scores[column]:.{shown}f}" if column in row.scores else ABSENT
        for number, row in enumerate(table.rows[1:], 2):
            line |= _apart(scores.difference(row, column), number, shown)
        lines.append(line)
    return f"{table.protocol.title}\n\n" + tabulate(lines, "keys", "simple", disable_numparse=True)


def _apart(one: Difference | None, number: int, shown: int) -> dict[str, str]:
    """The cells of a difference from the first run."""
    names = f"run {number} − run 1", "95 % interval", "p"
    if number > 2:  # names are unique in a line
        names = names[0], f"95 % interval ({number})", f"p ({number})"
    if one is None:
        return dict.fromkeys(names, ABSENT)
    interval = ABSENT if one.low is None or one.high is None else f"{one.low:+.{shown}f} to {one.high:+.{shown}f}"
    p = ABSENT if one.p_holm is None else f"{one.p_holm:.2g}"
    return dict(zip(names, (f"{one.difference:+.{shown}f}", interval, p), strict=True))


def write_settings(path: Path, labels: Sequence[str], settings: Mapping[str, Sequence[str]]) -> None:
    """Write a line per setting that differs, with a value per run."""
    lines = ({"setting": key, **dict(zip(labels, values, strict=True))} for key, values in settings.items())
    write_csv(path, lines, ("setting", *labels))


def settings_table(settings: Mapping[str, Sequence[str]], runs: int) -> str:
    """Return a text table of the settings that differ between runs."""
    if not settings:
        return "The settings of the runs are the same."
    heads = ("setting", *(f"run {number}" for number in range(1, runs + 1)))
    return str(tabulate([(key, *values) for key, values in settings.items()], heads, "simple", disable_numparse=True))


def flip_table(number: int, first: str, other: str, found: Sequence[Disagreement], splits: Sequence[Split]) -> str:
    """Return a text table of the numbers of triplets on which the verdicts of two runs differ.

    Args:
        number: number of the other run.
        first, other: labels of the two runs.
        found: triplets on which their verdicts differ.
        splits: the rows of the table.
    """
    rows: list[Any] = []
    for split in splits:
        own = [one for one in found if one.split == split.name]
        by_better = [sum(one.better == who for one in own) for who in (first, other, NEITHER)]
        rows.append((split.name, len(split), len(own), *by_better))
    better = ("run 1 agrees more", f"run {number} agrees more", "both equally")
    heads = ("split", "triplets", f"verdicts of runs 1 and {number} differ", *better)
    return str(tabulate(rows, heads, "simple"))
