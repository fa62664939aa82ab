"""Image files of everyday use as RGB: PNG, JPEG, WebP, BMP and TIFF, of 8 or 16 bits per channel.

What is not RGB becomes RGB by one rule each:

    gray                the same value in all three channels
    palette             its colors
    alpha               composited over a background color, white by default
    EXIF orientation    applied, so that the image is upright
    CMYK                Pillow's conversion, which reads no color profile
    16 bits             divided by 65535, where 8 bits are divided by 255: nothing is rounded

Embedded color profiles and gamma are ignored. A file with several frames is refused, such as an animation or a TIFF of
several pages; of a JPEG with further images for its viewer, as cameras and phones write it, the first counts.
"""

import stat
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageColor, ImageOps
from torch import Tensor

from lpips_repro.errors import UserError
from lpips_repro.files.decoding import is_deep, open_image
from lpips_repro.files.deep_images import REMEDY, read_deep

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")


def load_image(path: str | Path, background: str = "white") -> Tensor:
    """An image file as `LPIPS` takes it: float32 RGB (1, 3, H, W) in [-1, 1].

        from lpips_repro import LPIPS, load_image

        LPIPS("alex")(load_image("ref.png"), load_image("p0.png"))

    The functions of `lpips_repro.metrics` take images in [0, 1]: `(load_image(path) + 1) / 2`.

    Args:
        path: the file: see above for formats and what becomes of them.
        background: what is behind transparent pixels: a name such as "white", or "#rrggbb".

    Raises:
        UserError: if the file is missing, damaged or of another format, naming it; or if there is no such color.
    """
    pixels = read_rgb(Path(path), background)
    return as_floats(pixels).mul_(2).sub_(1)


def as_floats(pixels: np.ndarray) -> Tensor:
    """Pixels uint8 or uint16 (H, W, 3) as float32 (1, 3, H, W) in [0, 1]."""
    largest = np.iinfo(pixels.dtype).max
    return torch.from_numpy(pixels.astype(np.float32) / np.float32(largest)).permute(2, 0, 1)[None].contiguous()


def read_rgb(path: Path, background: str = "white") -> np.ndarray:
    """The pixels of an image file, (H, W, 3): uint8, or uint16 if the file has 16 bits per channel.

    Args, errors: as for `load_image`.
    """
    behind = color_of(background)
    _check_file(path)
    with open_image(path, FORMATS, remedy=REMEDY, deep=True) as image:
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format != "MPO":  # as Pillow calls a JPEG with more images
            raise UserError(f"{path}: holds {frames} images: expected one: save the one that is meant")
        if is_deep(image):
            return read_deep(path, image, behind)
        ImageOps.exif_transpose(image, in_place=True)
        upright: Image.Image = image
        if upright.has_transparency_data:
            upright = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", upright.size, (*behind, 255)), upright)
        return np.asarray(upright if upright.mode == "RGB" else upright.convert("RGB"))


def color_of(name: str) -> tuple[int, int, int]:
    """The RGB bytes of a color, by its name or `#rrggbb`; UserError if there is none."""
    try:
        red, green, blue = ImageColor.getrgb(name)[:3]
    except ValueError:
        raise UserError(f"background={name}: expected a color, such as white, black or #808080") from None
    return red, green, blue


def _check_file(path: Path) -> None:
    """UserError if there is nothing to read."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:  # such as a folder that may not be entered, or a name with a null byte
        raise UserError(f"{path}: {getattr(error, 'strerror', error)}") from error
    if stat.S_ISDIR(mode):
        raise UserError(f"{path}: a folder: expected an image file")
    if stat.S_ISREG(mode) and path.stat().st_size == 0:
        raise UserError(f"{path}: an empty file")
