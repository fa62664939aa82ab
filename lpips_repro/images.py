"""Image files as RGB: PNG, JPEG, WebP, BMP and TIFF, with 8 or 16 bits per channel.

Other kinds of images are converted to RGB:

    gray                the same value in all three channels
    palette             its colors
    alpha               composited over a background color, white by default
    EXIF orientation    applied, so that the image is upright
    CMYK, CIELAB        Pillow's conversion, which reads no color profile
    16 bits             divided by 65535 (8 bits: by 255), without rounding

Embedded color profiles and gamma are ignored, and so is EXIF data that is damaged. A file with several frames, such as
an animation or a TIFF with several pages, is refused. Of a JPEG with further images, as cameras and phones write it,
the first image is used. OpenCV decodes 8-bit RGB PNG files without metadata, and Pillow all other files.
"""

import stat
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageColor, ImageOps
from torch import Tensor

from lpips_repro.errors import UserError
from lpips_repro.files.decoding import is_deep, open_image, orientation_of
from lpips_repro.files.deep_images import REMEDY, read_deep
from lpips_repro.files.image_kinds import is_signed, layout_of
from lpips_repro.files.plain_png import read_plain_png

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")


def load_image(path: str | Path, background: str = "white") -> Tensor:
    """An image file as input of `LPIPS`: float32 RGB (1, 3, H, W) in [-1, 1].

        from lpips_repro import LPIPS, load_image

        LPIPS("alex")(load_image("ref.png"), load_image("p0.png"))

    The functions of `lpips_repro.metrics` take images in [0, 1]: `(load_image(path) + 1) / 2`.

    Args:
        path: the file, in a format named above.
        background: the color behind transparent pixels: a name such as "white", or "#rrggbb".

    Raises:
        UserError: if the file, which the message names, is missing, damaged or in another format, or if the color does
            not exist.
    """
    pixels = read_rgb(Path(path), background)
    return as_floats(pixels).mul_(2).sub_(1)


def as_floats(pixels: np.ndarray) -> Tensor:
    """Pixels uint8 or uint16 (H, W, 3) as float32 (1, 3, H, W) in [0, 1]."""
    largest = np.iinfo(pixels.dtype).max
    return torch.from_numpy(pixels.astype(np.float32) / np.float32(largest)).permute(2, 0, 1)[None].contiguous()


def read_rgb(path: Path, background: str = "white") -> np.ndarray:
    """The pixels of an image file, (H, W, 3): uint8, or uint16 if the file has 16 bits per channel.

    Arguments and errors are those of `load_image`.
    """
    behind = color_of(background)
    _check_file(path)
    plain = read_plain_png(path)
    if plain is not None:
        return plain
    with open_image(path, FORMATS, convert=REMEDY, deep=True) as image:
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format != "MPO":  # Pillow's name of a JPEG with further images
            raise UserError(f"{path}: holds {frames} images: expected one: save the image that you need")
        tags = getattr(image, "tag_v2", {})  # of TIFF
        if is_signed(tags):
            raise UserError(f"{path}: {layout_of(tags)}: expected unsigned integers: {REMEDY}")
        if is_deep(image):
            return read_deep(path, image, behind)
        image.load()
        if orientation_of(image) != 1:
            ImageOps.exif_transpose(image, in_place=True)
        upright: Image.Image = image
        if upright.has_transparency_data:
            upright = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", upright.size, (*behind, 255)), upright)
        return np.asarray(upright if upright.mode == "RGB" else upright.convert("RGB"))


def color_of(name: str) -> tuple[int, int, int]:
    """The RGB values, 0 to 255, of a color by its name or `#rrggbb`; raises UserError if it does not exist."""
    try:
        red, green, blue = ImageColor.getrgb(name)[:3]
    except ValueError:
        raise UserError(f"background={name}: expected a color, such as white, black or #808080") from None
    return red, green, blue


def _check_file(path: Path) -> None:
    """Raise UserError if the file cannot be read or is empty."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:  # such as a folder without permission, or a name with a null byte
        raise UserError(f"{path}: {getattr(error, 'strerror', error)}") from error
    if stat.S_ISDIR(mode):
        raise UserError(f"{path}: a folder: expected an image file")
    if not stat.S_ISREG(mode):  # to open a FIFO would be to wait for its writer
        raise UserError(f"{path}: a pipe or device: expected an image file: save the image to a file first")
    if path.stat().st_size == 0:
        raise UserError(f"{path}: an empty file")
