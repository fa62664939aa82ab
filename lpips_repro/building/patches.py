"""The rule by which patches are chosen: a random square of a photograph that is not flat.

A square is `size + 2 * margin` pixels a side, times a scale between 1 and 4, or as much as the photograph has room for,
whose logarithm is uniform. Its place is uniform, and half of the squares are mirrored. It is scaled down by the means
of areas. If the gray values of its middle, the patch, have too small a standard deviation, another square is drawn.
"""

import itertools
from typing import NamedTuple

import cv2
import numpy as np

from lpips_repro.config.building import BuildConfig

LARGEST_SCALE = 4.0  # a patch shows at most this many pixels of the photograph along each of its own
TRIES = 100  # squares that are drawn before a photograph counts as flat


class Crop(NamedTuple):
    """A square of a photograph, in its pixels, with the margin; and whether it is mirrored."""

    left: int
    top: int
    side: int
    mirrored: bool


def find_patch(image: np.ndarray, cfg: BuildConfig, rng: np.random.Generator, tries: int | None = None) -> Crop | None:
    """Draw squares until one has enough contrast.

    Args:
        image: the photograph, uint8 or uint16 (H, W, 3), at least `cfg.padded` pixels a side.
        cfg: has size, margin and least contrast.
        rng: where they are drawn from.
        tries: after so many, return None; None: never.
    """
    height, width, _ = image.shape
    for _ in range(tries) if tries else itertools.count():
        largest = min(LARGEST_SCALE, min(height, width) / cfg.padded)
        side = int(cfg.padded * np.exp(rng.uniform(0, np.log(largest))))
        left, top = int(rng.integers(width - side + 1)), int(rng.integers(height - side + 1))
        crop = Crop(left, top, side, bool(rng.random() < 0.5))
        patch = without_margin(cut(image, crop, cfg.padded), cfg.margin)
        if patch.mean(axis=2).std() >= cfg.contrast:
            return crop
    return None


def cut(image: np.ndarray, crop: Crop, padded: int) -> np.ndarray:
    """The square of a photograph, scaled down: float32 (padded, padded, 3) in [0, 1]."""
    square = image[crop.top : crop.top + crop.side, crop.left : crop.left + crop.side]
    if crop.mirrored:
        square = square[:, ::-1]
    square = square.astype(np.float32) / np.float32(np.iinfo(image.dtype).max)
    return cv2.resize(square, (padded, padded), interpolation=cv2.INTER_AREA).clip(0, 1)


def without_margin(image: np.ndarray, margin: int) -> np.ndarray:
    """The middle of a square."""
    return image[margin : len(image) - margin, margin : len(image) - margin]
