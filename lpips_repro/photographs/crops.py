"""Square crops of photographs to learn from, and of other photographs to be tested on.

The photographs are those of a folder and the folders in it, or, without a folder, those of the mini dataset, whose
validation photographs are then held out here too.

The first crop of a photograph is the largest square in its middle; others are squares at random places, from the crops'
size to the largest. All are scaled to that size (if they are smaller, up).
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from lpips_repro.datasets.mini.photographs import PHOTOGRAPHS
from lpips_repro.errors import UserError, check_utf8
from lpips_repro.files.decoding import open_image
from lpips_repro.photographs.left_out import named, reason

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}
HELD_OUT = 10  # of so many photographs of a folder, in the order of their names, the last one is held out
MOST_HELD_OUT = 1000  # about: of a large folder fewer are
LEAST_SIDE = 16  # pixels: a smaller photograph shows nothing to learn from
LEAST_CROPS = {"train": 1000, "held_out": 200}  # of fewer photographs, each gives several

NONE: Mapping[str, str] = MappingProxyType({})  # photographs left out


class Crops(NamedTuple):
    """Crops, uint8 (N, size, size, 3), in the order of their photographs, and the SHA-256 of the photographs.

    `left_out` are the photographs that could not be used: their reasons by name.
    """

    train: np.ndarray
    held_out: np.ndarray
    digest: str
    left_out: Mapping[str, str] = NONE


def split_photographs(folder: Path | None, left_out: Mapping[str, str] = NONE) -> dict[str, Sequence[Path]]:
    """The files to learn from ("train") and those held out ("held_out"), in the order of their names.

    Args:
        folder: of photographs; None for those of the mini dataset.
        left_out: photographs of the folder that are not among them: their reasons by name.

    Raises:
        UserError: if there are not two.
    """
    if folder is None:
        return {"train": PHOTOGRAPHS["train"], "held_out": PHOTOGRAPHS["val"]}
    files = [file for file in photographs_in(folder) if name_of(file, folder) not in left_out]
    if len(files) < 2:
        found = f"{len(files)} photographs ({', '.join(sorted(SUFFIXES))})"
        raise UserError(
            f"{folder}: {found} {'can be used' if left_out else 'in it and the folders in it'}: expected at least two,"
            f" one of them to hold out{f': left out: {named(left_out)}' if left_out else ''}"
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


def name_of(file: Path, folder: Path) -> str:
    """The name of a photograph: its path in the folder."""
    return file.relative_to(folder).as_posix()


def _is_shown(file: Path, folder: Path) -> bool:
    """Whether it is a file that is not hidden: other systems put such beside photographs, under their names."""
    return file.is_file() and not any(part.startswith(".") for part in file.relative_to(folder).parts)


def crops_of_each(phase: str, files: Sequence[Path]) -> int:
    """How many crops each photograph of a phase gives."""
    return -(-LEAST_CROPS[phase] // len(files))


def fill_crops(
    crops: np.ndarray, files: Sequence[Path], first: int, each: int, folder: Path | None
) -> tuple[list[str], dict[str, str]]:
    """Write the crops of some photographs of a phase in their places.

    Args:
        crops: uint8 (N, size, size, 3) of the whole phase.
        files: the photographs; first: number of the first one in the phase.
        each: crops of each.
        folder: of all photographs; None: one that cannot be used is an error.

    Returns:
        The SHA-256 of each file, and the photographs that cannot be used: their reasons by name.
    """
    digests, unusable = [], {}
    for number, file in enumerate(files, first):
        try:
            found = crop_photograph(file, crops.shape[1], each, number)
            digests.append(hashlib.sha256(file.read_bytes()).hexdigest())
        except (UserError, OSError) as error:
            if folder is None:
                raise
            unusable[name_of(file, folder)] = reason(file, error)
        else:
            crops[number * each : (number + 1) * each] = found
    return digests, unusable


def digest_of_all(digests: Sequence[str]) -> str:
    """One SHA-256 for those of all files, to learn from and held out."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def crop_photograph(file: Path, size: int, count: int, seed: int) -> np.ndarray:
    """So many crops of a photograph, uint8 (count, size, size, 3); UserError, naming it, if it cannot be used."""
    if not file.exists():
        raise UserError(f"{file}: not there: restore it, or run `make setup` if it is of an installed package")
    with open_image(file, FORMATS, remedy="restore, convert or remove it") as image:
        photograph = ImageOps.exif_transpose(image).convert("RGB")
    width, height = photograph.size
    largest = min(width, height)
    if largest < LEAST_SIDE:
        raise UserError(f"{file}: less than {LEAST_SIDE} pixels a side: remove it")
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
