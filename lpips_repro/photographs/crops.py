"""Square crops of photographs for training, and of other photographs that are held out for tests.

The photographs are those of a folder and its subfolders. Without a folder, they are those of the mini dataset, and its
validation photographs are held out.

The first crop of a photograph is the largest square in its middle. Other crops are squares at random places, with sides
between the crops' size and the largest side. All are scaled to the crops' size (small photographs are scaled up).
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
HELD_OUT = 10  # every tenth photograph of a folder, in the order of their names, is held out
MOST_HELD_OUT = 1000  # photographs, approximately: of a large folder, a smaller share is held out
LEAST_SIDE = 16  # pixels per side: smaller photographs are not used
LEAST_CROPS = {"train": 1000, "held_out": 200}  # if there are fewer photographs, each gives several crops

NONE: Mapping[str, str] = MappingProxyType({})  # photographs left out


class Crops(NamedTuple):
    """Crops in the order of their photographs.

    Attributes:
        train, held_out: uint8 (N, size, size, 3).
        digest: SHA-256 of the photographs.
        left_out: photographs that could not be used: their reasons by name.
    """

    train: np.ndarray
    held_out: np.ndarray
    digest: str
    left_out: Mapping[str, str] = NONE


def split_photographs(folder: Path | None, left_out: Mapping[str, str] = NONE) -> dict[str, Sequence[Path]]:
    """The files for training ("train") and those held out ("held_out"), in the order of their names.

    Args:
        folder: folder of photographs; None: those of the mini dataset.
        left_out: photographs of the folder that are left out: their reasons by name.

    Raises:
        UserError: if there are fewer than two photographs.
    """
    if folder is None:
        return {"train": PHOTOGRAPHS["train"], "held_out": PHOTOGRAPHS["val"]}
    files = [file for file in photographs_in(folder) if name_of(file, folder) not in left_out]
    if len(files) < 2:
        found = f"{len(files)} photographs ({', '.join(sorted(SUFFIXES))})"
        raise UserError(
            f"{folder}: {found} {'can be used' if left_out else 'in it and its subfolders'}: expected at least two,"
            f" since one is held out{f': left out: {named(left_out)}' if left_out else ''}"
        )
    every = max(HELD_OUT, len(files) // MOST_HELD_OUT)
    held_out = files[every - 1 :: every] or files[-1:]
    kept = set(held_out)
    return {"train": [file for file in files if file not in kept], "held_out": held_out}


def photographs_in(folder: Path) -> list[Path]:
    """The photographs in a folder and its subfolders, sorted.

    Raises:
        UserError: if the folder does not exist, or if a name is not UTF-8.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder of photographs")
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and _is_shown(file, folder))
    for file in files:
        check_utf8(str(file))
    return files


def name_of(file: Path, folder: Path) -> str:
    """The name of a photograph: its path in the folder of photographs."""
    return file.relative_to(folder).as_posix()


def _is_shown(file: Path, folder: Path) -> bool:
    """Whether it is a visible file. Other systems add hidden files with the names of photographs."""
    return file.is_file() and not any(part.startswith(".") for part in file.relative_to(folder).parts)


def crops_of_each(phase: str, files: Sequence[Path]) -> int:
    """The number of crops of each photograph of a phase ("train" or "held_out")."""
    return -(-LEAST_CROPS[phase] // len(files))


def fill_crops(
    crops: np.ndarray, files: Sequence[Path], first: int, each: int, folder: Path | None
) -> tuple[list[str], dict[str, str]]:
    """Write the crops of some photographs to their places in the array of a phase.

    Args:
        crops: uint8 (N, size, size, 3), all crops of the phase.
        files: the photographs; first: the place of the first one in the phase.
        each: crops per photograph.
        folder: folder of all photographs; None: a photograph that cannot be used is an error.

    Returns:
        The SHA-256 of each file, and the photographs that cannot be used: their reasons by name.

    Raises:
        UserError, OSError: if `folder` is None and a photograph cannot be used.
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
    """One SHA-256 for the digests of all files."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def crop_photograph(file: Path, size: int, count: int, seed: int) -> np.ndarray:
    """The crops of a photograph, uint8 (count, size, size, 3).

    Args:
        file: the photograph; size: side of the crops in pixels; count: number of crops; seed: seed of their places.

    Raises:
        UserError: if the photograph, which the message names, cannot be used.
    """
    if not file.exists():
        raise UserError(f"{file}: no such file: restore it, or run `make setup` if it is part of an installed package")
    with open_image(file, FORMATS, remedy="restore, convert or remove it") as image:
        photograph = ImageOps.exif_transpose(image).convert("RGB")
    width, height = photograph.size
    largest = min(width, height)
    if largest < LEAST_SIDE:
        raise UserError(f"{file}: less than {LEAST_SIDE} pixels per side: remove it")
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
