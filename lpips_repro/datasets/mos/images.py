"""Distorted images with mean opinion scores, and how they are read."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from lpips_repro.errors import UserError
from lpips_repro.files.decoding import open_image
from lpips_repro.progress import Progress

FORMATS = ("BMP", "PNG")  # TID2013's own, and KADID-10k's, which others may be converted to
LARGEST_SIDE = 4096  # of a scaled image, in pixels


@dataclass(frozen=True)
class DistortedImage:
    """One distorted image.

    Attributes:
        name: its file's name in lower case, without suffix: reference, type, level, as in `i01_01_1`.
        reference, distorted: the files.
        mos: mean opinion score, higher is better; type, level: of the distortion.
    """

    name: str
    reference: Path
    distorted: Path
    mos: float
    type: int
    level: int


def load_image(path: Path, size: int) -> np.ndarray:
    """An image, uint8 (H, W, 3), its smaller side scaled to `size` pixels by Pillow's antialiased bilinear resize.

    Raises:
        UserError: naming the file, where it cannot be decoded or is no 8-bit RGB or grey image.
    """
    with open_image(path, FORMATS) as file:
        if file.mode not in ("RGB", "L", "P"):
            raise UserError(f"{path}: an image of mode {file.mode}: expected 8-bit RGB or grey: restore the file")
        scaled = _scaled(path, file.size, size)
        image = file.convert("RGB")
    return np.asarray(image.resize(scaled, Image.Resampling.BILINEAR))


def pixels_of(path: Path, size: int) -> int:
    """How many pixels an image has with a smaller side of `size`; errors as of `load_image`."""
    with open_image(path, FORMATS) as file:
        width, height = _scaled(path, file.size, size)
    return width * height


def _scaled(path: Path, sides: tuple[int, int], size: int) -> tuple[int, int]:
    """Width and height of an image with a smaller side of `size`."""
    scale = size / min(sides)
    width, height = (round(side * scale) for side in sides)
    if max(width, height) > LARGEST_SIDE:
        raise UserError(
            f"{path}: {sides[0]} x {sides[1]} pixels: with a smaller side of {size} it would have"
            f" {width} x {height}, and at most {LARGEST_SIDE} are allowed: restore the file"
        )
    return width, height


def digest_images(images: Sequence[DistortedImage]) -> str:
    """SHA-256 over the names and contents of all image files, with a progress bar on a terminal.

    A reference goes by the first part of the names of its distorted images, as in `i01_01_1`.
    """
    sha = hashlib.sha256()
    files = {image.reference: image.name.partition("_")[0] for image in images} | {
        image.distorted: image.name for image in images
    }
    for path, name in Progress(files.items(), desc="reading images", unit="image", leave=False):
        sha.update(f"{name} {path.stat().st_size}\n".encode())
        sha.update(path.read_bytes())
    return sha.hexdigest()


def by_lower_case(folder: Path) -> dict[str, Path]:
    """What is in a folder, if it is one, by its name in lower case; hidden files are passed over."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name[0] == ".":
            continue
        if other := found.get(path.name.lower()):
            raise UserError(
                f"{path}: differs from {other.name} beside it in upper and lower case alone: move one elsewhere"
            )
        found[path.name.lower()] = path
    return found
