"""From an image file to its patch, a square of the dataset's size.

BAPPS stores its 64x64 patches as 256x256 PNGs, by nearest neighbour: stored pixel i shows patch pixel
round(i * 63 / 255). Ways back:

    pil_bilinear    Pillow's antialiased bilinear resize, a blur: what the authors' loader does
    exact           stored pixels round(k * 255 / 63): the patch itself, where the image is of the stored form

For photographs there is pil_bicubic, too: Pillow's antialiased bicubic resize. Images that are stored at the size of
the patches need none of them.
"""

from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from lpips_repro.errors import UserError
from lpips_repro.files.decoding import open_image

FORMATS = ("PNG",)
FILTERS = {"pil_bilinear": Image.Resampling.BILINEAR, "pil_bicubic": Image.Resampling.BICUBIC}
# A larger image is no patch, and decoding it could take any amount of memory. BAPPS's archives have 256 pixels a side.
LARGEST_SIDE = 4096
LARGEST_ARCHIVED = 256


class PatchForm(NamedTuple):
    """The form of a dataset's patches: pixels a side, and how larger images are shrunk to them (see above)."""

    size: int
    resize: str

    def describe(self, stored: set[int]) -> str:
        """What was done to images of these sides, for the card of a packed split."""
        return f"none (stored at {self.size}x{self.size})" if stored == {self.size} else self.resize


def load_patch(path: Path, form: PatchForm, content: BinaryIO | None = None) -> tuple[np.ndarray, int, bool]:
    """Decode an image file into its patch.

    Args:
        path: a PNG, square, of the form's size to 4096 pixels a side (in an archive at most 256).
        form: of the patch.
        content: what the file holds, where it is not on disk but in an archive; `path` is then its name alone, and
            what can be done about an error is the caller's to say.

    Returns:
        The patch, uint8 (size, size, 3); the stored side in pixels; and False where `exact` met an image that is not of
        the stored form (its pixels are sampled all the same).

    Raises:
        UserError: naming the file, where it cannot be decoded or has another size.
    """
    largest = LARGEST_ARCHIVED if content else LARGEST_SIDE
    with open_image(path, FORMATS, content) as file:
        width, height = file.size
        if width != height or not form.size <= width <= largest:
            raise UserError(f"{path}: {width} x {height} pixels: expected a square of {form.size} to {largest} a side")
        if not _is_plain(file):
            raise UserError(f"{path}: a PNG of mode {file.mode}: expected 8-bit RGB or grey without transparency")
        image = file.convert("RGB")
    if width == form.size:
        return np.asarray(image), width, True
    if form.resize in FILTERS:
        return np.asarray(image.resize((form.size, form.size), FILTERS[form.resize])), width, True
    return _sample_exactly(np.asarray(image), form.size)


def _is_plain(image: Image.Image) -> bool:
    """Whether the conversion to RGB loses nothing: it clips 16 bits to 8, and drops transparency."""
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
    """For each of `count` pixels the one it shows among `size`, corners on corners."""
    return np.rint(np.arange(count) * (size - 1) / (count - 1)).astype(int)
