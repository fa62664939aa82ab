"""Image files with 16 bits per channel, read by OpenCV: Pillow would reduce them to 8 bits."""

from pathlib import Path

import cv2
import numpy as np
from PIL import ImageFile

from lpips_repro.errors import UserError
from lpips_repro.files.decoding import orientation_of, raw_modes
from lpips_repro.files.image_kinds import BITS, PHOTOMETRIC, layout_of

MODES = {"L", "LA", "RGB", "RGBX", "RGBA", "I;16", "I;16B", "I"}  # Pillow's names of the modes that OpenCV reads
PLANAR = 284  # tag of TIFF
LARGEST = 65535
REMEDY = "convert it to an 8- or 16-bit PNG"


def read_deep(path: Path, image: ImageFile.ImageFile, behind: tuple[int, int, int]) -> np.ndarray:
    """The pixels of a PNG or TIFF with 16 bits per channel, upright, uint16 (H, W, 3).

    Args:
        path: the file; image: the file opened by Pillow.
        behind: background color of transparent pixels, RGB in [0, 255].

    Raises:
        UserError: if it is not a gray or RGB image with 16 bits. A damaged file raises Pillow's errors.
    """
    tags = getattr(image, "tag_v2", {})
    if tags.get(PLANAR, 1) != 1:
        raise UserError(f"{path}: a TIFF of 16 bits with a plane per channel: expected the channels together: {REMEDY}")
    if image.mode not in MODES or set(tags.get(BITS, [16])) != {16}:
        raise UserError(f"{path}: {layout_of(tags)}: expected a gray or RGB image with 8 or 16 bits: {REMEDY}")
    has_product = any(mode.startswith("RGBa") for mode in raw_modes(image))  # colors were multiplied with alpha
    image.load()  # raises Pillow's error if the file is damaged, before OpenCV prints one
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        fault = "a wrong checksum, or a compression that it does not have" if pixels is None else f"{pixels.dtype}"
        raise UserError(f"{path}: OpenCV cannot read it ({fault}): restore the file, or {REMEDY}")
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    rgb = pixels.repeat(3, axis=2) if pixels.shape[2] == 1 else pixels[..., 2::-1]  # OpenCV's first channel is blue
    if tags.get(PHOTOMETRIC) == 0:  # white is 0, which OpenCV does not convert
        rgb = LARGEST - rgb
    alpha = _alpha_of(image, pixels)
    if alpha is not None:
        shown = rgb if has_product else alpha * rgb
        composite = shown + (1 - alpha) * (np.array(behind) * 257.0)
        rgb = np.round(composite).clip(max=LARGEST).astype(np.uint16)
    return np.ascontiguousarray(_upright(rgb, orientation_of(image)))


def _alpha_of(image: ImageFile.ImageFile, pixels: np.ndarray) -> np.ndarray | None:
    """The opacity of pixels, (H, W, 1) in [0, 1], or None if all are opaque."""
    transparent = image.info.get("transparency")
    if pixels.shape[2] == 1 and isinstance(transparent, int):  # a gray value, which OpenCV does not apply
        return (pixels != transparent).astype(np.float64)
    has_alpha = pixels.shape[2] == 4 and (image.mode.endswith("A") or transparent is not None)
    return pixels[..., 3:] / LARGEST if has_alpha else None


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels (H, W, 3), rotated and flipped by an EXIF orientation from 1 to 8."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    flip_rows, flip_columns = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    return pixels[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
