"""metrics.csv of a run: a row for each entry, and none of what a killed start had done beyond its last checkpoint."""

import csv
import io
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lpips_repro.files import free_name, write_whole

log = logging.getLogger(__name__)


class MetricsCsv:
    """The file, open for more rows.

    Args:
        file: made, or gone on with where its columns are these.
        columns: names; all values are numbers.
        counts: whether a row that is there, nan for what it says nothing of, is of what the run goes on from; others,
            and what is no whole row, are taken back.
    """

    def __init__(self, file: Path, columns: Sequence[str], counts: Callable[[dict[str, float]], bool]):
        self.columns = tuple(columns)
        self._take_back(file, counts)
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

    def _take_back(self, file: Path, counts: Callable[[dict[str, float]], bool]) -> None:
        if not file.is_file():
            return
        written = io.StringIO()
        csv.writer(written).writerow(self.columns)
        lines = [written.getvalue().encode()]
        first, *others = file.read_bytes().splitlines(keepends=True) or [b""]
        damaged = first not in (lines[0], b"")
        for line in [] if damaged else others:
            try:
                row = self._numbers(line)
            except ValueError:
                damaged = True
                break  # as a power cut left it, and what follows was appended to that
            if counts(row):
                lines.append(line)
        if damaged:
            kept = free_name(file.with_name(f"{file.name}.damaged"))
            shutil.copyfile(file, kept)
            log.warning("%s: damaged, or of other columns: kept as %s: rows before the damage stay", file, kept.name)
        write_whole(file, b"".join(lines))

    def _numbers(self, line: bytes) -> dict[str, float]:
        """A row, with nan for what it says nothing of; ValueError where it is not whole."""
        if not line.endswith(b"\n"):
            raise ValueError("cut off")
        texts = line.decode().rstrip("\r\n").split(",")
        return {name: float(text or "nan") for name, text in zip(self.columns, texts, strict=True)}
