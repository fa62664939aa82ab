"""CSV files: written whole or not at all, and read with errors that name the line and the value."""

import csv
import io
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lpips_repro.errors import UserError
from lpips_repro.files.writing import write_whole

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


def write_csv(path: Path, rows: Iterable[Mapping[str, object]], columns: Iterable[str] | None = None) -> None:
    """Write a CSV whole or not at all: see `new_file`.

    Args:
        path: the file.
        rows: the cells of each row by column; cells that a row lacks are empty.
        columns: the columns in order; None: those of the first row.

    Raises:
        ValueError: if a row has another column.
        OSError: if the file cannot be written.
    """
    rows = list(rows)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, tuple(columns if columns is not None else rows[0] if rows else ()), restval="")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue())


class CsvLine(dict[str, str]):
    """The cells of a line of a CSV by column.

    Args:
        cells: by column.
        where: the file and the number of the line; remedy: both for messages.
    """

    def __init__(self, cells: dict[str, str], where: str, remedy: str) -> None:
        super().__init__(cells)
        self.where, self.remedy = where, remedy

    def __missing__(self, column: str) -> str:
        raise UserError(f"{self.where}: no column {column}: {self.remedy}")

    def number(self, column: str) -> float:
        """The finite number in a column; UserError, naming the line, if there is something else."""
        try:
            return finite_number(self[column])
        except UserError:
            raise
        except ValueError as error:
            raise UserError(f"{self.where}: {column} {error}: {self.remedy}") from None


def read_csv(path: Path, remedy: str) -> list[CsvLine]:
    """The lines of a CSV file.

    Args:
        path: the file; remedy: for messages.

    Raises:
        UserError: if it cannot be read, is not UTF-8, or has a line with more or fewer cells than columns.
    """
    lines = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader: csv.DictReader[Any] = csv.DictReader(file, strict=True)
            for cells in reader:
                where = f"{path}, line {reader.line_num}"
                if None in cells or None in cells.values():
                    raise UserError(f"{where}: expected {len(reader.fieldnames or ())} cells: {remedy}")
                lines.append(CsvLine(cells, where, remedy))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}: {remedy}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a CSV file of UTF-8 text ({error}): {remedy}") from error
    return lines


def finite_number(text: str) -> float:
    """The number in a cell.

    Raises:
        ValueError: if it is not a decimal number, such as 0.5 or 1e-3, or too large. `float` also takes nan, inf,
            1_000 and digits of other scripts.
    """
    value = float(text) if NUMBER.fullmatch(text.strip()) else None
    if value is None or abs(value) == float("inf"):
        raise ValueError(f"{text!r}: expected a finite number")
    return value


def number_or_none(text: str) -> float | None:
    """As `finite_number`, but None for an empty cell and for nan, which stand for a missing number."""
    return None if text.strip().lower() in ("", "nan") else finite_number(text)
