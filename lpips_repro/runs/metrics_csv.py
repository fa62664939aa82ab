"""metrics.csv and validation.csv of a run: one row per entry, without rows of steps that a killed run has lost.

Earlier versions of the code wrote both kinds of rows to metrics.csv. Such a file is split when the run resumes.
"""

import csv
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lpips_repro.files import free_name, naming, write_csv

log = logging.getLogger(__name__)

# Columns that identify a row.
KEYS = ("step", "epoch")


class MetricsCsv:
    """A CSV file that rows are appended to.

    Args:
        file: the file, which is made if it is missing, and continued if it has these columns.
        columns: names of columns; all values are numbers.
        counts: whether an existing row (nan for an empty cell) belongs to the resumed state. Other rows, and all rows
            from the first damaged one on, are removed.
        earlier: a file with these and other columns, whose rows are copied if `file` does not exist.
    """

    def __init__(
        self,
        file: Path,
        columns: Sequence[str],
        counts: Callable[[dict[str, float]], bool],
        earlier: Path | None = None,
    ):
        self.columns = tuple(columns)
        source = file if file.is_file() or earlier is None else earlier
        if source.is_file():
            self._keep_rows(file, source, counts)
        self.file = file.open("a", newline="")
        self.writer = csv.DictWriter(self.file, self.columns)
        if file.stat().st_size == 0:
            self.writer.writeheader()

    def row(self, values: Mapping[str, float]) -> None:
        """Write a row, and flush it to disk. Missing columns are empty."""
        cells = {key: value if isinstance(value, int) else f"{value:.6g}" for key, value in values.items()}
        with naming(Path(self.file.name)):
            self.writer.writerow(cells)
            self.file.flush()

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def _keep_rows(self, file: Path, source: Path, counts: Callable[[dict[str, float]], bool]) -> None:
        content = source.read_bytes()
        names, rows, damaged = _whole_rows(content)
        fits = set(self.columns) <= set(names)
        if source == file and content and (damaged or not fits):
            kept = free_name(file.with_name(f"{file.name}.damaged"))
            shutil.copyfile(file, kept)
            log.warning("%s: damaged, or with other columns: kept as %s; rows before the damage stay", file, kept.name)
        lines = []
        for row in rows if fits else ():
            says_something = any(row[name] for name in self.columns if name not in KEYS)
            if says_something and counts({name: float(row[name] or "nan") for name in self.columns}):
                lines.append({name: row[name] for name in self.columns})
        write_csv(file, lines, self.columns)


def _whole_rows(content: bytes) -> tuple[list[str], list[dict[str, str]], bool]:
    """The columns of a file, its rows before the first damaged one, and whether one is damaged."""
    first, *others = content.splitlines(keepends=True) or [b""]
    names = first.decode(errors="replace").rstrip("\r\n").split(",")
    rows = []
    for line in others:
        try:
            rows.append(_row(line, names))
        except ValueError:
            return names, rows, True  # after a power cut; later rows were appended to it
    return names, rows, False


def _row(line: bytes, names: Sequence[str]) -> dict[str, str]:
    """The cells of a row by column; ValueError if the row is incomplete."""
    if not line.endswith(b"\n"):
        raise ValueError("cut off")
    texts = line.decode().rstrip("\r\n").split(",")
    for text in texts:
        float(text or "nan")
    return dict(zip(names, texts, strict=True))
