"""Image files of everyday use as RGB: PNG, JPEG, WebP, BMP and TIFF, of 8 or 16 bits per channel.

What is not RGB becomes RGB by one rule each:

    gray                the same value in all three channels
    palette             its colors
    alpha               composited over a background color, white by default
    EXIF orientation    applied, so that the image is upright
    CMYK                Pillow's conversion, which reads no color profile
    16 bits             divided by 65535, where 8 bits are divided by 255: nothing is rounded

Embedded color profiles and gamma are ignored. A file with several frames is refused.
"""

from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image, ImageColor, ImageOps
from torch import Tensor

from lpips_repro.errors import UserError
from lpips_repro.files.decoding import is_deep, open_image

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
DEEP_MODES = {"L", "LA", "RGB", "RGBA", "I;16", "I;16B", "I"}  # as Pillow calls what OpenCV reads


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
    if not path.exists():
        raise UserError(f"{path}: no such file")
    with open_image(path, FORMATS, remedy="convert it to an 8- or 16-bit PNG", deep=True) as image:
        if (frames := getattr(image, "n_frames", 1)) > 1:
            raise UserError(f"{path}: holds {frames} images: expected one: save the one that is meant")
        if is_deep(image):
            return _read_deep(path, image, behind)
        upright = ImageOps.exif_transpose(image)
        if upright.has_transparency_data:
            upright = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", upright.size, (*behind, 255)), upright)
        return np.asarray(upright.convert("RGB"))


def color_of(name: str) -> tuple[int, int, int]:
    """The RGB bytes of a color, by its name or `#rrggbb`; UserError if there is none."""
    try:
        red, green, blue = ImageColor.getrgb(name)[:3]
    except ValueError:
        raise UserError(f"background={name}: expected a color, such as white, black or #808080") from None
    return red, green, blue


def _read_deep(path: Path, image: Image.Image, behind: tuple[int, int, int]) -> np.ndarray:
    """The pixels of a file of 16 bits per channel, by OpenCV, which keeps them."""
    orientation = image.getexif().get(0x0112, 1)
    if image.mode not in DEEP_MODES:
        raise UserError(f"{path}: {image.mode} of more than 8 bits: expected gray or RGB: convert it to an 8-bit PNG")
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        found = "a damaged file" if pixels is None else str(pixels.dtype)
        raise UserError(f"{path}: {found}: expected 8 or 16 bits per channel: convert it to an 8- or 16-bit PNG")
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    rgb = pixels.repeat(3, axis=2) if pixels.shape[2] == 1 else pixels[..., 2::-1]  # OpenCV has blue first
    if pixels.shape[2] == 4:
        alpha = pixels[..., 3:] / 65535
        rgb = np.round(alpha * rgb + (1 - alpha) * (np.array(behind) * 257.0)).astype(np.uint16)
    return np.ascontiguousarray(_upright(rgb, orientation))


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels (H, W, 3) as the EXIF orientation, 1 to 8, says they are seen."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    flip_rows, flip_columns = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    return pixels[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
