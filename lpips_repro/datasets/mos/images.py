"""Distorted images with mean opinion scores, and reading them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from lpips_repro.errors import UserError
from lpips_repro.files.decoding import open_image
from lpips_repro.progress import Progress

FORMATS = ("BMP", "PNG")  # of TID2013 and KADID-10k
LARGEST_SIDE = 4096  # of a scaled image, in pixels


@dataclass(frozen=True)
class DistortedImage:
    """A distorted image.

    Attributes:
        name: name of its file in lower case, without suffix: reference, type, level, as in `i01_01_1`.
        reference, distorted: the files.
        mos: mean opinion score, higher is better; type, level: type and level of the distortion.
    """

    name: str
    reference: Path
    distorted: Path
    mos: float
    type: int
    level: int


def load_image(path: Path, size: int) -> np.ndarray:
    """An image, uint8 (H, W, 3), with its smaller side resized to `size` by Pillow's antialiased bilinear filter.

    Raises:
        UserError: if the file cannot be decoded or is not an 8-bit RGB or gray image. The message names the file.
    """
    with open_image(path, FORMATS) as file:
        if file.mode not in ("RGB", "L", "P"):
            raise UserError(f"{path}: an image of mode {file.mode}: expected 8-bit RGB or gray: restore the file")
        scaled = _scaled(path, file.size, size)
        image = file.convert("RGB")
    return np.asarray(image.resize(scaled, Image.Resampling.BILINEAR))


def pixels_of(path: Path, size: int) -> int:
    """The number of pixels of an image with a smaller side of `size`; errors as for `load_image`."""
    with open_image(path, FORMATS) as file:
        width, height = _scaled(path, file.size, size)
    return width * height


def _scaled(path: Path, sides: tuple[int, int], size: int) -> tuple[int, int]:
    """Width and height of an image with a smaller side of `size`."""
    scale = size / min(sides)
    width, height = (round(side * scale) for side in sides)
    if max(width, height) > LARGEST_SIDE:
        raise UserError(
            f"{path}: {sides[0]} x {sides[1]} pixels, which is {width} x {height} with a smaller side of {size}:"
            f" expected at most {LARGEST_SIDE}: restore the file"
        )
    return width, height


def digest_images(images: Sequence[DistortedImage]) -> str:
    """SHA-256 of the names and contents of all image files, with a progress bar on a terminal.

    The name of a reference is the first part of the names of its distorted images, as in `i01_01_1`.
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
    """The entries of a folder by their names in lower case, without hidden files; empty if there is no folder."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name[0] == ".":
            continue
        if other := found.get(path.name.lower()):
            raise UserError(
                f"{path}: its name differs from {other.name} only in upper and lower case: move one elsewhere"
            )
        found[path.name.lower()] = path
    return found
