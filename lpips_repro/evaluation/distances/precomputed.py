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
            head, *lines = content.splitlines() or [""]
            values, _ = parse_distances(head, [line for line in lines if line.strip()], split)
            if not np.isfinite([*values.values()]).all():
                raise ValueError("holds a value that is not finite")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise UserError(f"{path}: {reason}") from error
        self.identity[split.name] = hashlib.sha256(content.encode()).hexdigest()[:12]
        return values
