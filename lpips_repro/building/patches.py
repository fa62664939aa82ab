"""The choice of patches: random squares of a photograph that have enough contrast.

A square has `size + 2 * margin` pixels per side, times a scale. The scale is between 1 and 4, or less if the photograph
is too small, and its logarithm is uniform. The place of a square is uniform, and half of the squares are mirrored. A
square is scaled down by area averages. Its middle is the patch. If the gray values of the patch have a too small
standard deviation, another square is drawn.
"""

import itertools
from typing import NamedTuple

import cv2
import numpy as np

from lpips_repro.config.building import BuildConfig

LARGEST_SCALE = 4.0  # of a square's side, relative to that of the patch with its margin
TRIES = 100  # squares that are drawn before a photograph has too little contrast


class Crop(NamedTuple):
    """A square of a photograph, with the margin, in pixels of the photograph; and whether it is mirrored."""

    left: int
    top: int
    side: int
    mirrored: bool


def find_patch(image: np.ndarray, cfg: BuildConfig, rng: np.random.Generator, tries: int | None = None) -> Crop | None:
    """Draw squares until one has enough contrast.

    Args:
        image: the photograph, uint8 or uint16 (H, W, 3), with at least `cfg.padded` pixels per side.
        cfg: settings with size, margin and least contrast.
        rng: the source of randomness.
        tries: the largest number of squares; None: no limit.

    Returns:
        The square, or None if no square has enough contrast.
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
    """The square of a photograph, uint8 or uint16 (H, W, 3), scaled down: float32 (padded, padded, 3) in [0, 1]."""
    square = image[crop.top : crop.top + crop.side, crop.left : crop.left + crop.side]
    if crop.mirrored:
        square = square[:, ::-1]
    square = square.astype(np.float32) / np.float32(np.iinfo(image.dtype).max)
    return cv2.resize(square, (padded, padded), interpolation=cv2.INTER_AREA).clip(0, 1)


def without_margin(image: np.ndarray, margin: int) -> np.ndarray:
    """The middle of a square image (side, side, ...)."""
    return image[margin : len(image) - margin, margin : len(image) - margin]
