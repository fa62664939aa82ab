"""Reading the patch, a square of the dataset's size, from an image file.

BAPPS stores its 64x64 patches as 256x256 PNGs, resized by nearest neighbor: stored pixel i is patch pixel round(i * 63
/ 255). There are two ways to get the patch:

    pil_bilinear    Pillow's antialiased bilinear resize, a blur: what the authors' loader does
    exact           stored pixels round(k * 255 / 63): the patch itself, where the image is of the stored form

For photographs there is also pil_bicubic, Pillow's antialiased bicubic resize. Images that are stored at the patch size
are used unchanged.
"""

from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from lpips_repro.errors import UserError
from lpips_repro.files.decoding import open_image

FORMATS = ("PNG",)
FILTERS = {"pil_bilinear": Image.Resampling.BILINEAR, "pil_bicubic": Image.Resampling.BICUBIC}
# Larger images are not patches, and decoding them could take any amount of memory. Images of BAPPS's archives have
# sides of 256 pixels.
LARGEST_SIDE = 4096
LARGEST_ARCHIVED = 256


class PatchForm(NamedTuple):
    """The form of a dataset's patches: their side in pixels, and how larger images are resized to it (see above)."""

    size: int
    resize: str

    def describe(self, stored: set[int]) -> str:
        """The resizing of images with these sides, for the card of a packed split."""
        return f"none (stored at {self.size}x{self.size})" if stored == {self.size} else self.resize


def load_patch(path: Path, form: PatchForm, content: BinaryIO | None = None) -> tuple[np.ndarray, int, bool]:
    """Decode an image file into its patch.

    Args:
        path: a square PNG with sides from the form's size to 4096 pixels (in an archive 256).
        form: form of the patch.
        content: content of a file in an archive; `path` is then only a name, and the caller adds the remedy of errors.

    Returns:
        The patch, uint8 (size, size, 3); the stored side in pixels; and whether the image is of the stored form that
        `exact` expects (True for other filters; pixels are sampled in either case).

    Raises:
        UserError: if the file cannot be decoded or has another size. The message names the file.
    """
    largest = LARGEST_ARCHIVED if content else LARGEST_SIDE
    with open_image(path, FORMATS, content) as file:
        width, height = file.size
        if width != height or not form.size <= width <= largest:
            raise UserError(
                f"{path}: {width} x {height} pixels: expected a square with sides of {form.size} to {largest}"
            )
        if not _is_plain(file):
            raise UserError(f"{path}: a PNG of mode {file.mode}: expected 8-bit RGB or gray without transparency")
        image = file.convert("RGB")
    if width == form.size:
        return np.asarray(image), width, True
    if form.resize in FILTERS:
        return np.asarray(image.resize((form.size, form.size), FILTERS[form.resize])), width, True
    return _sample_exactly(np.asarray(image), form.size)


def _is_plain(image: Image.Image) -> bool:
    """Whether the conversion to RGB is lossless: it would clip 16 bits to 8, and drop transparency."""
    if image.mode == "RGBA":
        return image.getchannel("A").getextrema() == (255, 255)
    return image.mode in ("RGB", "L", "P", "1") and "transparency" not in image.info


def _sample_exactly(stored: np.ndarray, size: int) -> tuple[np.ndarray, int, bool]:
    side = len(stored)
    sampled = _nearest(size, side)
    patch = stored[np.ix_(sampled, sampled)]
    shown = _nearest(side, size)
    return patch, side, np.array_equal(patch[np.ix_(shown, shown)], stored)


def _nearest(count: int, size: int) -> np.ndarray:
    """For each of `count` pixels, the index of its pixel among `size`, with aligned corners."""
    return np.rint(np.arange(count) * (size - 1) / max(count - 1, 1)).astype(int)
