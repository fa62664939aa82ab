"""Distances that another program computed, such as HDR-VDP's by its authors' MATLAB or Octave code, from CSV files.

One file a split, named as in `2afc-val-traditional.csv` and `jnd-val-cnn.csv`, with the columns index, d0, d1, or
index, d; index counts the files of the split in sorted order, from 0. Distances grow as images get less alike.
"""

import hashlib
from pathlib import Path

import numpy as np

from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.errors import UserError
from lpips_repro.evaluation.protocols import protocol_of


class ForeignDistances:
    """The distances in a folder.

    Args:
        folder: where a file for each split lies.

    Attributes:
        identity: what the distances are: the folder, and the digest of each file that was read.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.identity: dict[str, str] = {"distances": str(folder)}

    def read(self, split: PackedSplit) -> dict[str, np.ndarray]:
        """The distances on a split by column, float64 (N,).

        Raises:
            UserError: where there is no file for the split, or it does not hold a distance for each of its examples.
        """
        path = self.folder / f"{split.name.replace('/', '-')}.csv"
        columns = ("index", *protocol_of(split).distances)
        try:
            content = path.read_text(encoding="utf-8-sig")  # with or without Excel's byte order mark
            if [name.strip() for name in content.partition("\n")[0].split(",")] != list(columns):
                raise ValueError(f"expected the columns {','.join(columns)}")
            values = np.loadtxt(content.splitlines()[1:], delimiter=",", ndmin=2, dtype=np.float64)
            if values.shape != (len(split), len(columns)):
                raise ValueError(f"{len(values)} lines: expected {len(split)}, one for each example of {split.name}")
            if not np.isfinite(values).all():
                raise ValueError("holds a value that is not finite")
            if not np.array_equal(values[:, 0], np.arange(len(split))):
                raise ValueError("expected the index 0, 1, 2 and so on, in this order")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise UserError(f"{path}: {reason}") from error
        self.identity[split.name] = hashlib.sha256(content.encode()).hexdigest()[:12]
        return {name: values[:, k] for k, name in enumerate(columns[1:], 1)}
