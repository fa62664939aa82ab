"""Distances from CSV files of another program, such as HDR-VDP's MATLAB or Octave code.

There is one file per split, with names such as `2afc-val-traditional.csv`, `jnd-val-cnn.csv` and `mos-val-384.csv`, and
the columns index, d0, d1; or index, d; or image, distance. The index is the position of an example in sorted order,
from 0. Images are sorted by name, in lower case without suffix. Larger distances mean less similar images.
"""

import hashlib
from pathlib import Path

import numpy as np

from lpips_repro.datasets.split import Split
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances.store import parse_distances
from lpips_repro.files import finite_number


class PrecomputedDistances:
    """The distances in a folder of CSV files.

    Args:
        folder: the folder, with one file per split.

    Attributes:
        identity: the folder, and the digest of each file that was read.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.identity: dict[str, str] = {"distances": str(folder)}

    def read(self, split: Split) -> dict[str, np.ndarray]:
        """The distances on a split by column, float64 (N,).

        Raises:
            UserError: if there is no file for the split, or if it does not have a distance for each item.
        """
        path = self.folder / f"{split.name.replace('/', '-')}.csv"
        try:
            content = path.read_text(encoding="utf-8-sig")  # with or without Excel's byte order mark
            head, *others = content.splitlines() or [""]
            lines = {number: line for number, line in enumerate(others, 2) if line.strip()}
            for number, line in lines.items():
                try:
                    _check_numbers(line, head.count(",") + 1)
                except ValueError as error:
                    raise ValueError(f"line {number}: {error}") from None
            values, _ = parse_distances(head, [*lines.values()], split)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise UserError(f"{path}: {reason}") from error
        self.identity[split.name] = hashlib.sha256(content.encode()).hexdigest()[:12]
        return values


def _check_numbers(line: str, columns: int) -> None:
    _, *numbers = line.split(",")
    if len(numbers) + 1 != columns:
        raise ValueError(f"{len(numbers) + 1} cells: expected {columns}")
    for number in numbers:
        finite_number(number)
