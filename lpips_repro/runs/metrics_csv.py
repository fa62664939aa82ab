"""metrics.csv and validation.csv of a run: a row for each entry, and none of what a killed start had done in vain.

Earlier versions of the code wrote both kinds of rows to metrics.csv. Such a file is divided when the run goes on.
"""

import csv
import io
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lpips_repro.files import free_name, write_whole

log = logging.getLogger(__name__)

# Columns that say what a row is of.
KEYS = ("step", "epoch")


class MetricsCsv:
    """The file, open for more rows.

    Args:
        file: made, or gone on with if it has these columns.
        columns: names; all values are numbers.
        counts: whether a row that is there (nan for an empty column) is part of what the run goes on from. Others, and
            all from the first damaged row on, are taken back.
        earlier: a file with these columns among others: its rows are taken over if `file` does not exist.
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
            self._take_back(file, source, counts)
        self.file = file.open("a", newline="")
        self.writer = csv.DictWriter(self.file, self.columns)
        if file.stat().st_size == 0:
            self.writer.writeheader()

    def row(self, values: Mapping[str, float]) -> None:
        """Write a row that is on disk at once; columns that it says nothing of stay empty."""
        self.writer.writerow(
            {key: value if isinstance(value, int) else f"{value:.6g}" for key, value in values.items()}
        )
        self.file.flush()

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def _take_back(self, file: Path, source: Path, counts: Callable[[dict[str, float]], bool]) -> None:
        content = source.read_bytes()
        names, rows, damaged = _whole_rows(content)
        fits = set(self.columns) <= set(names)
        if source == file and content and (damaged or not fits):
            kept = free_name(file.with_name(f"{file.name}.damaged"))
            shutil.copyfile(file, kept)
            log.warning("%s: damaged, or of other columns: kept as %s: rows before the damage stay", file, kept.name)
        written = io.StringIO()
        writer = csv.DictWriter(written, self.columns, extrasaction="ignore")
        writer.writeheader()
        for row in rows if fits else ():
            says_something = any(row[name] for name in self.columns if name not in KEYS)
            if says_something and counts({name: float(row[name] or "nan") for name in self.columns}):
                writer.writerow(row)
        write_whole(file, written.getvalue().encode())


def _whole_rows(content: bytes) -> tuple[list[str], list[dict[str, str]], bool]:
    """The columns of a file, its rows up to the first damaged one, and whether there is one."""
    first, *others = content.splitlines(keepends=True) or [b""]
    names = first.decode(errors="replace").rstrip("\r\n").split(",")
    rows = []
    for line in others:
        try:
            rows.append(_row(line, names))
        except ValueError:
            return names, rows, True  # as a power cut left it, and what follows was appended to that
    return names, rows, False


def _row(line: bytes, names: Sequence[str]) -> dict[str, str]:
    """The texts of a row by column; ValueError if it is not whole."""
    if not line.endswith(b"\n"):
        raise ValueError("cut off")
    texts = line.decode().rstrip("\r\n").split(",")
    for text in texts:
        float(text or "nan")
    return dict(zip(names, texts, strict=True))
