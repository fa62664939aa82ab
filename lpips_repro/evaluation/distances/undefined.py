"""Distances that mean nothing, which no table may score."""

import numpy as np

from lpips_repro.datasets.split import Split


def undefined(values: np.ndarray, split: Split, start: int) -> str | None:
    """What is wrong with distances (columns, items) from item `start` on, or None.

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
                return f"the distance of {split.item} {split.keys[item]} is {what}"
    return None
