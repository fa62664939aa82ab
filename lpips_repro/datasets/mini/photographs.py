"""The photographs of the mini dataset, and random patches of them.

All are in the wheels of scikit-image and scikit-learn, so that nothing is downloaded. They are color photographs of
everyday things. Drawings, micrographs, the sky survey, the retina and gray images (on which color distortions have no
effect) are left out. No photograph is in both phases.
"""

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import skimage
import sklearn

from lpips_repro.errors import UserError
from lpips_repro.files.decoding import open_image

SKIMAGE = Path(skimage.__file__).parent / "data"
SKLEARN = Path(sklearn.__file__).parent / "datasets" / "images"
PHOTOGRAPHS = {
    "train": (SKIMAGE / "astronaut.png", SKIMAGE / "coffee.png", SKIMAGE / "rocket.jpg", SKLEARN / "china.jpg"),
    "val": (SKIMAGE / "chelsea.png", SKIMAGE / "motorcycle_left.png", SKLEARN / "flower.jpg"),
}

PATCH_SIZE = 64  # as the observers require
MARGIN = 16  # real pixels around a patch for the distortions; cropped at the end
PADDED_SIZE = PATCH_SIZE + 2 * MARGIN
LARGEST_SCALE = 4.0  # most photograph pixels per pixel of a patch, along each axis
LEAST_CONTRAST = 0.07  # standard deviation of the luma below which a patch is flat, and another is drawn


@cache
def load(path: Path) -> np.ndarray:
    """A photograph as float32 RGB (H, W, 3) in [0, 1]; UserError if the installed file is missing or damaged."""
    remedy = "install scikit-image and scikit-learn again from their wheels (`make setup`)"
    if not path.exists():
        raise UserError(f"{path}: missing: {remedy}")
    with open_image(path, ("PNG", "JPEG"), remedy=remedy) as image:
        return np.asarray(image.convert("RGB"), dtype=np.float32) / 255


def draw_patch(phase: str, rng: np.random.Generator) -> np.ndarray:
    """A patch with its margin, from a random place and scale of a random photograph, mirrored with probability 1/2.

    Args:
        phase: train or val.
        rng: generator of random numbers.

    Returns:
        float32 (96, 96, 3) in [0, 1], whose middle is not flat.
    """
    photographs = PHOTOGRAPHS[phase]
    while True:
        patch = draw_crop(load(photographs[rng.integers(len(photographs))]), 1.0, rng)
        if crop_margin(patch).mean(axis=2).std() >= LEAST_CONTRAST:
            return patch


def draw_crop(image: np.ndarray, smallest_scale: float, rng: np.random.Generator) -> np.ndarray:
    """A random square of an image (or of stacked ones), resized to 96 pixels, mirrored with probability 1/2.

    Args:
        image: float32 (H, W, 3 K).
        smallest_scale: least photograph pixels per pixel of the result; the most is 4, or what the image allows.
        rng: where it is drawn from.

    Returns:
        float32 (96, 96, 3 K).
    """
    height, width = image.shape[:2]
    largest = min(LARGEST_SCALE, min(height, width) / PADDED_SIZE)
    side = int(PADDED_SIZE * np.exp(rng.uniform(np.log(smallest_scale), np.log(largest))))
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    crop = image[top : top + side, left : left + side]
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    # OpenCV resizes at most four channels at once.
    images = np.split(np.ascontiguousarray(crop), crop.shape[2] // 3, axis=2)
    size = (PADDED_SIZE, PADDED_SIZE)
    resized = np.dstack([cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images])
    return resized.clip(0, 1)  # rounding may leave [0, 1]


def crop_margin(patch: np.ndarray) -> np.ndarray:
    """The 64x64 middle of a 96x96 patch."""
    return patch[MARGIN:-MARGIN, MARGIN:-MARGIN]
