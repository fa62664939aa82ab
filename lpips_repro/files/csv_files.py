"""CSV files, written whole or not at all."""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

from lpips_repro.files.writing import write_whole


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
