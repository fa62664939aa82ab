"""Read the rows of written tables."""

import csv
from pathlib import Path

from lpips_repro.errors import UserError
from lpips_repro.evaluation.protocols import Protocol
from lpips_repro.evaluation.tables.table import Row
from lpips_repro.evaluation.tables.writer import KEYS
from lpips_repro.files import finish_writing, finite_number, number_or_none, parse_json


def read_rows(folder: Path, protocol: Protocol) -> list[Row]:
    """Return the rows of a protocol's CSV in a folder, with scores, intervals, spread and the paper's figures.

    Raises:
        UserError: if there is no such table, or the file is not one.
    """
    finish_writing(folder)
    path = folder / f"{protocol.file}.csv"
    if not path.is_file():
        raise UserError(f"{path}: no such table: run `make eval-tables` first, on data with 2AFC and JND judgments")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            return [_row(line) for line in reader]
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        reason = f"line {reader.line_num}: {error!r}"
        raise UserError(f"{path}: not a table of `make eval-tables` ({reason}): run that again") from error


def _row(line: dict[str, str]) -> Row:
    if None in line.values():
        raise ValueError("a row has fewer cells than the first line")
    settings = parse_json(line["settings"], finite=False)
    drawn = settings.get("bootstrap", {"replicates": 1, "seed": 0}) if isinstance(settings, dict) else None
    if not isinstance(drawn, dict) or not all(type(drawn.get(key)) is int for key in ("replicates", "seed")):
        raise ValueError(f"settings {line['settings']!r}")
    columns = [column for column in line if f"{column}_lo" in line]

    def numbers(suffix: str) -> dict[str, float]:
        return {column: finite_number(line[column + suffix]) for column in columns if line.get(column + suffix)}

    ends = {column: [number_or_none(line[column + suffix]) for suffix in ("_lo", "_hi")] for column in columns}
    return Row(
        **{key: line[key] for key in (*KEYS, "observers", "note")},
        settings=settings,
        scores=numbers(""),
        interval={column: (low, high) for column, (low, high) in ends.items() if low is not None and high is not None},
        paper=numbers("_paper"),
        spread=numbers("_sd"),
    )
