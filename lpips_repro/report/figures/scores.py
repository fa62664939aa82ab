"""The scores that figures show: `scores.csv`, with groups, names and observers from the tables next to it."""

import csv
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lpips_repro.errors import UserError
from lpips_repro.evaluation.methods.method import GROUPS
from lpips_repro.evaluation.protocols import PROTOCOLS
from lpips_repro.evaluation.tables.reader import read_rows
from lpips_repro.evaluation.tables.table import Row
from lpips_repro.evaluation.tables.writer import SCORES
from lpips_repro.files import finish_writing, number_or_none

OBSERVERS = "observers"  # the group of the rows of observers
# Labels of the rows of observers, for a scores.csv without its tables.
OBSERVER_LABELS = ("human", "simulated-observer", "unknown-observer", "oracle", "chance")
VARIANTS = ("lin", "scratch", "tune")  # in the order of the paper's Figure 4


@dataclass(frozen=True)
class Scores:
    """The scores of some tables.

    Attributes:
        rows: rows by name of the protocol, in the order of the tables, without NaN values.
        counts: number of examples by name of the protocol, then by column.
    """

    rows: dict[str, list[Row]]
    counts: dict[str, dict[str, int]]

    def methods(self, kind: str) -> list[Row]:
        """Return the rows of methods in the order of the paper's Figure 4, also those with only published scores."""
        found = [row for row in self.rows.get(kind, ()) if row.group != OBSERVERS]
        return sorted(found, key=_place)

    def ceiling(self, kind: str) -> Row | None:
        """Return the row of one observer against the others, or None if there is none."""
        found = [row for row in self.rows.get(kind, ()) if row.group == OBSERVERS]
        return next((row for row in found if row.method not in ("oracle", "chance")), None)

    def columns(self, kind: str) -> list[str]:
        """Return the splits and averages with scores, in the order of the tables."""
        return list(dict.fromkeys(column for row in self.rows.get(kind, ()) for column in row.scores))

    @property
    def observers(self) -> str:
        """The observers: "human", "simulated" or "unknown"; "" if no table names them."""
        judges = {row.observers for rows in self.rows.values() for row in rows} - {""}
        return next((name for name in ("simulated", "unknown", "human") if name in judges), "")


def read_scores(source: str | Path) -> Scores:
    """Return the scores of tables.

    Args:
        source: folder of the tables, or a file such as scores.csv. Groups, names and observers are read from the
            tables in the same folder, if they exist.

    Raises:
        UserError: if the file does not exist, or does not have scores.
    """
    path = Path(source)
    if path.is_dir() or not path.suffix:
        path = path / SCORES
        finish_writing(path.parent)
    try:
        with path.open(newline="") as file:
            lines = [(*_names(line), number_or_none(line["value"])) for line in csv.DictReader(file)]
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file: run `make eval-tables` first") from error
    except (OSError, KeyError, TypeError, AttributeError, ValueError, csv.Error) as error:
        raise UserError(f"{path}: not the scores of `make eval-tables` ({error!r}): run that again") from error
    known = _described(path.parent)
    rows: dict[str, dict[str, Row]] = {}
    counts: dict[str, dict[str, int]] = {}
    numbers: dict[tuple[str, str, str], dict[str, float]] = {}
    for kind, label, column, statistic, value in lines:
        rows.setdefault(kind, {}).setdefault(label, known.get((kind, label)) or _undescribed(label))
        if value is not None:
            numbers.setdefault((kind, label, column), {})[statistic] = value
    for (kind, label, column), found in numbers.items():
        _fill(rows[kind][label], column, found)
        if "n" in found:
            counts.setdefault(kind, {})[column] = int(found["n"])
    return Scores({kind: list(by_label.values()) for kind, by_label in rows.items()}, counts)


def _names(line: dict[str, str]) -> tuple[str, str, str, str]:
    return line["kind"], line["label"], line["split"], line["statistic"]


def _described(folder: Path) -> dict[tuple[str, str], Row]:
    """The rows of the tables in a folder by protocol and label, without their numbers."""
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
    """Return the rows that have our score or a published one in any of some columns."""
    return [row for row in rows if any(column in row.scores or column in row.paper for column in columns)]
