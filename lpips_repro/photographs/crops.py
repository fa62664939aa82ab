"""Square crops of photographs to learn from, and of other photographs to be tested on.

The photographs are those of a folder and the folders in it, or, without a folder, those of the mini dataset, whose
validation photographs are then held out here too.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from lpips_repro.datasets.mini.photographs import PHOTOGRAPHS
from lpips_repro.errors import UserError, check_utf8
from lpips_repro.files.decoding import open_image

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}
HELD_OUT = 10  # of so many photographs of a folder, in the order of their names, the last one is held out
MOST_HELD_OUT = 1000  # about: of a large folder fewer are
LEAST_CROPS = {"train": 1000, "held_out": 200}  # of fewer photographs, each gives several


class Crops(NamedTuple):
    """Crops, uint8 (N, size, size, 3), in the order of their photographs, and the SHA-256 of the photographs."""

    train: np.ndarray
    held_out: np.ndarray
    digest: str


def load_images(folder: Path | None, size: int) -> Crops:
    """Crops of all photographs, the same ones every time, in memory (`stored_crops` keeps them on disk).

    The first crop of a photograph is the largest square in its middle; others are squares at random places, from `size`
    pixels a side to the largest. All are scaled to `size` (where they are smaller, up).

    Args:
        folder: of photographs; None for those of the mini dataset.
        size: side of the crops in pixels.

    Raises:
        UserError: where there are not two photographs, or one cannot be decoded, which is named.
    """
    crops, digests = {}, []
    for phase, files in split_photographs(folder).items():
        crops[phase] = np.empty((len(files) * crops_of_each(phase, files), size, size, 3), np.uint8)
        digests += fill_crops(crops[phase], files, 0, crops_of_each(phase, files))
    return Crops(crops["train"], crops["held_out"], digest_of_all(digests))


def split_photographs(folder: Path | None) -> dict[str, Sequence[Path]]:
    """The files to learn from ("train") and those held out ("held_out"), in the order of their names."""
    if folder is None:
        return {"train": PHOTOGRAPHS["train"], "held_out": PHOTOGRAPHS["val"]}
    files = photographs_in(folder)
    if len(files) < 2:
        raise UserError(
            f"{folder}: {len(files)} photographs ({', '.join(sorted(SUFFIXES))}) in it and the folders in it: expected"
            " at least two, one of them to hold out"
        )
    every = max(HELD_OUT, len(files) // MOST_HELD_OUT)
    held_out = files[every - 1 :: every] or files[-1:]
    kept = set(held_out)
    return {"train": [file for file in files if file not in kept], "held_out": held_out}


def photographs_in(folder: Path) -> list[Path]:
    """The photographs in a folder and the folders in it, in the order of their names; UserError without the folder."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder of photographs")
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and _is_shown(file, folder))
    for file in files:
        check_utf8(str(file))
    return files


def _is_shown(file: Path, folder: Path) -> bool:
    """Whether it is a file that is not hidden: other systems put such beside photographs, under their names."""
    return file.is_file() and not any(part.startswith(".") for part in file.relative_to(folder).parts)


def crops_of_each(phase: str, files: Sequence[Path]) -> int:
    """How many crops each photograph of a phase gives."""
    return -(-LEAST_CROPS[phase] // len(files))


def fill_crops(crops: np.ndarray, files: Sequence[Path], first: int, each: int) -> list[str]:
    """Write the crops of some photographs of a phase in their places.

    Args:
        crops: uint8 (N, size, size, 3) of the whole phase.
        files: the photographs; first: number of the first one in the phase.
        each: crops of each.

    Returns:
        The SHA-256 of each file.
    """
    digests = []
    for number, file in enumerate(files, first):
        crops[number * each : (number + 1) * each] = crop_photograph(file, crops.shape[1], each, number)
        digests.append(hashlib.sha256(file.read_bytes()).hexdigest())
    return digests


def digest_of_all(digests: Sequence[str]) -> str:
    """One SHA-256 for those of all files, to learn from and held out."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def crop_photograph(file: Path, size: int, count: int, seed: int) -> np.ndarray:
    """So many crops of a photograph, uint8 (count, size, size, 3)."""
    if not file.exists():
        raise UserError(f"{file}: not there: restore it, or run `make setup` if it is of an installed package")
    with open_image(file, FORMATS, remedy="restore, convert or remove it") as image:
        photograph = ImageOps.exif_transpose(image).convert("RGB")
    width, height = photograph.size
    largest = min(width, height)
    rng = np.random.default_rng(seed)
    crops = np.empty((count, size, size, 3), np.uint8)
    for number in range(count):
        side, left, top = largest, (width - largest) // 2, (height - largest) // 2
        if number:
            side = int(rng.integers(min(size, largest), largest, endpoint=True))
            left, top = int(rng.integers(width - side + 1)), int(rng.integers(height - side + 1))
        box = (left, top, left + side, top + side)
        crops[number] = np.asarray(photograph.resize((size, size), Image.Resampling.BILINEAR, box=box))
    return crops
