"""Distances that are not defined, which no table may score."""

import numpy as np

from lpips_repro.datasets.split import Split
from lpips_repro.errors import UserError


def check_defined(values: np.ndarray, split: Split, start: int) -> None:
    """Raise UserError, with the example, for distances (columns, items) from item `start` on that are not defined.

    A distance is a number, or minus infinity for equal images, as for PSNR. Any other infinite one is an overflow or a
    division by zero, which would be scored as the best or worst of all.
    """
    for index in np.flatnonzero(~np.isfinite(values).all(axis=0)):
        item = start + int(index)
        first, *others = split.read(range(item, item + 1))
        for value, other in zip(values[:, index], others, strict=True):
            same = np.array_equal(first, other)
            if not np.isfinite(value) and not (same and value == -np.inf):
                what = "NaN" if np.isnan(value) else f"{value} of {'equal' if same else 'different'} images"
                raise UserError(f"the distance of {split.item} {split.keys[item]} is {what}")
