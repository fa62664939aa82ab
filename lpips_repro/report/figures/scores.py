"""What figures are made from: `scores.csv`, with what the tables next to it say about each row."""

import csv
import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lpips_repro.errors import UserError
from lpips_repro.evaluation.methods.method import GROUPS
from lpips_repro.evaluation.protocols import PROTOCOLS
from lpips_repro.evaluation.tables.reader import read_rows
from lpips_repro.evaluation.tables.table import Row
from lpips_repro.evaluation.tables.writer import SCORES
from lpips_repro.files import finish_writing

OBSERVERS = "observers"  # the group of their rows
# If only scores.csv is there: the rows of observers by their label.
OBSERVER_LABELS = ("human", "simulated-observer", "unknown-observer", "oracle", "chance")
VARIANTS = ("lin", "scratch", "tune")  # of the paper's Figure 4, in its order


@dataclass(frozen=True)
class Scores:
    """The scores of some tables.

    Attributes:
        rows: by the name of the protocol, in the tables' order; numbers that are NaN are absent.
        counts: by the name of the protocol, then by column: how many examples there are.
    """

    rows: dict[str, list[Row]]
    counts: dict[str, dict[str, int]]

    def methods(self, kind: str) -> list[Row]:
        """The rows of methods, in the order of the paper's Figure 4; those that only the paper has scores of, too."""
        found = [row for row in self.rows.get(kind, ()) if row.group != OBSERVERS]
        return sorted(found, key=_place)

    def ceiling(self, kind: str) -> Row | None:
        """The row of the observers themselves, one against the others, if there is one."""
        found = [row for row in self.rows.get(kind, ()) if row.group == OBSERVERS]
        return next((row for row in found if row.method not in ("oracle", "chance")), None)

    def columns(self, kind: str) -> list[str]:
        """The splits and averages that any row has a score on, in the tables' order."""
        return list(dict.fromkeys(column for row in self.rows.get(kind, ()) for column in row.scores))

    @property
    def observers(self) -> str:
        """Who judged: "human", "simulated" or "unknown"; "" if no table says it."""
        judges = {row.observers for rows in self.rows.values() for row in rows} - {""}
        return next((name for name in ("simulated", "unknown", "human") if name in judges), "")


def read_scores(source: str | Path) -> Scores:
    """The scores of tables that were written.

    Args:
        source: the folder of the tables, or a file such as its scores.csv. What the file does not have (groups, names
            that are shown, observers) comes from the tables next to it, if they exist.

    Raises:
        UserError: if there is no such file, or it is something else.
    """
    path = Path(source)
    if path.is_dir() or not path.suffix:
        path = path / SCORES
        finish_writing(path.parent)
    try:
        with path.open(newline="") as file:
            lines = [(*_names(line), float(line["value"])) for line in csv.DictReader(file)]
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file: run `make eval-tables` first") from error
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise UserError(f"{path}: not the scores of `make eval-tables` ({error!r}): run that again") from error
    known = _described(path.parent)
    rows: dict[str, dict[str, Row]] = {}
    counts: dict[str, dict[str, int]] = {}
    numbers: dict[tuple[str, str, str], dict[str, float]] = {}
    for kind, label, column, statistic, value in lines:
        rows.setdefault(kind, {}).setdefault(label, known.get((kind, label)) or _undescribed(label))
        if not math.isnan(value):
            numbers.setdefault((kind, label, column), {})[statistic] = value
    for (kind, label, column), found in numbers.items():
        _fill(rows[kind][label], column, found)
        if "n" in found:
            counts.setdefault(kind, {})[column] = int(found["n"])
    return Scores({kind: list(by_label.values()) for kind, by_label in rows.items()}, counts)


def _names(line: dict[str, str]) -> tuple[str, str, str, str]:
    return line["kind"], line["label"], line["split"], line["statistic"]


def _described(folder: Path) -> dict[tuple[str, str], Row]:
    """The rows of the tables in a folder without their numbers, by protocol and label."""
    found = {}
    for protocol in PROTOCOLS.values():
        if (folder / f"{protocol.file}.csv").is_file():
            for row in read_rows(folder, protocol):
                bare = dataclasses.replace(row, scores={}, interval={}, paper={}, spread={})
                found[protocol.name, row.label] = bare
    return found


def _undescribed(label: str) -> Row:
    return Row(OBSERVERS if label in OBSERVER_LABELS else "", label)


def _fill(row: Row, column: str, found: dict[str, float]) -> None:
    for statistic, into in (("score", row.scores), ("paper", row.paper), ("sd", row.spread)):
        if statistic in found:
            into[column] = found[statistic]
    if "low" in found and "high" in found:
        row.interval[column] = found["low"], found["high"]


def _place(row: Row) -> tuple[int, int]:
    group = GROUPS.index(row.group) if row.group in GROUPS else len(GROUPS)
    return group, VARIANTS.index(row.variant) if row.variant in VARIANTS else len(VARIANTS)


def with_scores(rows: Sequence[Row], columns: Sequence[str]) -> list[Row]:
    """The rows that have a score, or a published one, on any of some columns."""
    return [row for row in rows if any(column in row.scores or column in row.paper for column in columns)]
