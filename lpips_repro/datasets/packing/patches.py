"""From an image file to its 64x64 patch.

BAPPS stores its 64x64 patches as 256x256 PNGs, by nearest neighbour: stored pixel i shows patch pixel
round(i * 63 / 255). Two ways back:

    pil_bilinear    Pillow's antialiased bilinear resize, a blur: what the authors' loader does
    exact           stored pixels round(k * 255 / 63): the patch itself, where the image is of the stored form

Images stored at 64x64 need neither.
"""

from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from lpips_repro.datasets.packed import PATCH_SIZE
from lpips_repro.errors import UserError
from lpips_repro.files.decoding import open_image

FORMATS = ("PNG",)
# A larger image is no patch, and decoding it could take any amount of memory. BAPPS's archives have 256 pixels a side.
LARGEST_SIDE = 4096
LARGEST_ARCHIVED = 256


def load_patch(path: Path, resize: str, content: BinaryIO | None = None) -> tuple[np.ndarray, int, bool]:
    """Decode an image file into its patch.

    Args:
        path: a PNG, square, 64 to 4096 pixels a side (in an archive 64 to 256).
        resize: "pil_bilinear" or "exact", for images larger than 64.
        content: what the file holds, where it is not on disk but in an archive; `path` is then its name alone, and
            what can be done about an error is the caller's to say.

    Returns:
        The patch, uint8 (64, 64, 3); the stored side in pixels; and False where `exact` met an image that is not of
        the stored form (its pixels are sampled all the same).

    Raises:
        UserError: naming the file, where it cannot be decoded or has another size.
    """
    largest = LARGEST_ARCHIVED if content else LARGEST_SIDE
    with open_image(path, FORMATS, content) as file:
        width, height = file.size
        if width != height or not PATCH_SIZE <= width <= largest:
            raise UserError(f"{path}: {width} x {height} pixels: expected a square of {PATCH_SIZE} to {largest} a side")
        if not _is_plain(file):
            raise UserError(f"{path}: a PNG of mode {file.mode}: expected 8-bit RGB or grey without transparency")
        image = file.convert("RGB")
    if width == PATCH_SIZE:
        return np.asarray(image), width, True
    if resize == "pil_bilinear":
        return np.asarray(image.resize((PATCH_SIZE, PATCH_SIZE), Image.Resampling.BILINEAR)), width, True
    return _sample_exactly(np.asarray(image))


def _is_plain(image: Image.Image) -> bool:
    """Whether the conversion to RGB loses nothing: it clips 16 bits to 8, and drops transparency."""
    if image.mode == "RGBA":
        return image.getchannel("A").getextrema() == (255, 255)
    return image.mode in ("RGB", "L", "P", "1") and "transparency" not in image.info


def _sample_exactly(stored: np.ndarray) -> tuple[np.ndarray, int, bool]:
    size = len(stored)
    sampled = _nearest(PATCH_SIZE, size)
    patch = stored[np.ix_(sampled, sampled)]
    shown = _nearest(size, PATCH_SIZE)
    return patch, size, np.array_equal(patch[np.ix_(shown, shown)], stored)


def _nearest(count: int, size: int) -> np.ndarray:
    """For each of `count` pixels the one it shows among `size`, corners on corners."""
    return np.rint(np.arange(count) * (size - 1) / (count - 1)).astype(int)
