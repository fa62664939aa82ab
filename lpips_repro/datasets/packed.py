"""A packed split: one decoded split of a dataset as memory-mapped arrays with a card.

A folder holds one `.npy` file per field and `card.json`:

    2AFC   ref, p0, p1   uint8 (N, H, W, 3)    judge  float32 (N,), share choosing p1
    JND    p0, p1        uint8 (N, H, W, 3)    same   float32 (N,), share answering "same"

All images of a split have one size, which is on its card (older cards of this layout do not have it). A split is
written whole or not at all: into a temporary folder next to it, which is renamed when complete.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lpips_repro.datasets.split import Split
from lpips_repro.errors import UserError, check_choice
from lpips_repro.files import read_json, sync
from lpips_repro.files.writing import space_remedy
from lpips_repro.quoting import one_line

LAYOUT_VERSION = 1
IMAGE_FIELDS = {"2afc": ("ref", "p0", "p1"), "jnd": ("p0", "p1")}
PHASES = ("train", "val")
VOTE_FIELD = {"2afc": "judge", "jnd": "same"}
# Entries of every card, and the layout version.
CARD_TYPES = {
    **dict.fromkeys(("kind", "phase", "split", "dataset", "resize", "observers", "digest"), str),
    "count": int,
}

_REMEDY = "move the folder {} elsewhere and run the command again to pack it again"


class DamagedSplit(UserError):
    """A damaged packed split; `why` is without the remedy, for callers that know which command packs it."""

    def __init__(self, why: str, remedy: str) -> None:
        super().__init__(why, remedy)
        self.why, self.remedy = why, remedy

    def __str__(self) -> str:
        return one_line(f"{self.why}: {self.remedy}")


@dataclass(frozen=True)
class PackedSplit(Split):
    """An opened packed split.

    Attributes:
        path: its folder.
        card: content of card.json: kind, phase, split, dataset, resize, observers, count, digest, layout and others.
        arrays: the memory-mapped fields by name.
    """

    path: Path
    card: dict[str, Any]
    arrays: dict[str, np.ndarray]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of its images, in pixels."""
        height, width = _size_of(self.arrays, self.card["kind"])
        return height, width

    @property
    def votes(self) -> np.ndarray:
        """The shares `judge` (2AFC) or `same` (JND), float32 (N,)."""
        return self.arrays[VOTE_FIELD[self.card["kind"]]]

    @property
    def pixels(self) -> int:
        """See `Split`."""
        _, height, width, _ = self.arrays[IMAGE_FIELDS[self.card["kind"]][0]].shape
        return height * width

    def read(self, items: range) -> list[np.ndarray]:
        """See `Split`: the images of each field, copied out of the memory map."""
        return [np.array(self.arrays[name][items.start : items.stop]) for name in IMAGE_FIELDS[self.card["kind"]]]

    def verify(self) -> None:
        """Compare all bytes with the digest on the card; raise DamagedSplit if they differ."""
        found = digest_fields(self.path, self.card["kind"])
        if found != self.card["digest"]:
            raise DamagedSplit(
                f"{self.path}: contents have SHA-256 {found}, the card says {self.card['digest']}",
                _REMEDY.format(self.path),
            )


def leftovers() -> re.Pattern:
    """Names of folders that a killed process leaves next to packed splits, where the user may have other folders."""
    kinds, phases = ("|".join(map(re.escape, names)) for names in (IMAGE_FIELDS, PHASES))
    return re.compile(rf"\.(({kinds})-({phases})-.+\.(partial|old)-\d+|\w+\.tar\.gz\.(spool|unpack))")


def digest_fields(folder: Path, kind: str) -> str:
    """SHA-256 of the names, dtypes, shapes and bytes of the fields, in the order of their names.

    The files are read in blocks, not through a memory map, so that large files take no memory.
    """
    sha = hashlib.sha256()
    for name in sorted((*IMAGE_FIELDS[kind], VOTE_FIELD[kind])):
        with (folder / f"{name}.npy").open("rb") as file:
            np.lib.format.read_magic(file)
            shape, by_columns, dtype = np.lib.format.read_array_header_1_0(file)
            order = " by columns" * by_columns  # the same bytes in another order are other images
            sha.update(f"{name} {dtype.str} {shape}{order}\n".encode())
            while block := file.read(1 << 20):
                sha.update(block)
    return sha.hexdigest()


@contextlib.contextmanager
def partial_split(path: Path) -> Iterator[Path]:
    """A context with an empty temporary folder next to `path`, to be filled and passed to `finish_split`.

    Raises:
        UserError: if the disk is full, or if something else cannot be written or read.
    """
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
    except OSError as error:
        reason = f"{error.strerror or error}: nothing half-written is left{space_remedy(error)}"
        raise UserError(f"{error.filename or path}: {reason}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_array(path: Path, array: np.ndarray) -> None:
    """Write an array in the format of `np.save`, which does not notice if the disk has no room for the last bytes."""
    array = np.ascontiguousarray(array)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(array.data)


def patch_bytes(size: int) -> int:
    """The bytes of a square image with sides of `size` pixels."""
    return size**2 * 3


def write_patches_header(file: BinaryIO, count: int, size: int) -> None:
    """Write the header of the .npy file of `count` images with sides of `size` pixels."""
    shape = (count, size, size, 3)
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def finish_split(partial: Path, path: Path, card: dict[str, Any]) -> PackedSplit:
    """Complete the card of a filled temporary folder, move the folder to `path`, and open it.

    Args:
        partial: folder from `partial_split` with one .npy file per field.
        path: folder of the packed split; an older one is replaced.
        card: kind, phase, split, dataset, resize, observers, and all else on the origin of the split; count, digest,
            layout and size are added here.

    Raises:
        UserError: if the kind is unknown, or the arrays are not the fields of this kind.
    """
    check_choice(f"{path}: kind", card.get("kind"), IMAGE_FIELDS)
    arrays = _map_fields(partial, card["kind"])
    count = len(arrays[VOTE_FIELD[card["kind"]]])
    card = {**card, "count": count, "digest": digest_fields(partial, card["kind"]), "layout": LAYOUT_VERSION}
    card["size"] = [*_size_of(arrays, card["kind"])]
    (partial / "card.json").write_text(json.dumps(card, indent=2) + "\n")
    _check(partial, card, arrays)
    # Without this, a power cut could leave the new name on files that were never written.
    for written in (*partial.iterdir(), partial):
        sync(written)
    if path.exists():
        old = path.with_name(f".{path.name}.old-{os.getpid()}")
        path.rename(old)
        partial.rename(path)
        shutil.rmtree(old)
    else:
        partial.rename(path)
    sync(path.parent)
    return open_split(path)


def write_split(path: Path, arrays: dict[str, np.ndarray], card: dict[str, Any]) -> PackedSplit:
    """Write arrays in memory as a packed split; arguments as for `finish_split`."""
    with partial_split(path) as partial:
        for name, array in arrays.items():
            write_array(partial / f"{name}.npy", array)
        return finish_split(partial, path, card)


def open_split(path: Path, size: int | None = None) -> PackedSplit:
    """Open a packed split and check layout version, fields, shapes and dtypes, but not the digest (see `verify`).

    Args:
        path: its folder; size: side of its images in pixels, if the dataset has this setting.
    """
    card = read_card(path)
    if card is None:
        raise DamagedSplit(f"{path}: no packed split of layout {LAYOUT_VERSION}", "run the command that packs it again")
    try:
        arrays = _map_fields(path, card["kind"])
    except Exception as error:  # NumPy's parser of the header can raise any exception
        raise DamagedSplit(f"{path}: {error}", _REMEDY.format(path)) from error
    _check(path, card, arrays, size)
    return PackedSplit(path, card, arrays)


def read_card(path: Path) -> dict[str, Any] | None:
    """The card of the packed split at `path`, or None if it is missing, damaged or of another layout version."""
    try:
        card = read_json(path / "card.json")
    except (OSError, ValueError):
        return None
    if not isinstance(card, dict) or card.get("layout") != LAYOUT_VERSION or card.get("kind") not in (*IMAGE_FIELDS,):
        return None
    if not isinstance(card.get("size", []), list):
        return None
    return card if all(type(card.get(key)) is kind for key, kind in CARD_TYPES.items()) else None


def _map_fields(folder: Path, kind: str) -> dict[str, np.ndarray]:
    # Not `np.load`, which also reads other formats.
    names = (*IMAGE_FIELDS[kind], VOTE_FIELD[kind])
    return {name: np.lib.format.open_memmap(folder / f"{name}.npy", mode="r") for name in names}


def _size_of(arrays: dict[str, np.ndarray], kind: str) -> tuple[int, ...]:
    """Height and width of the images of the first field. `_check` compares the other fields."""
    return arrays[IMAGE_FIELDS[kind][0]].shape[1:3]


def _check(folder: Path, card: dict[str, Any], arrays: dict[str, np.ndarray], size: int | None = None) -> None:
    # Older cards have no size.
    height_and_width = (size, size) if size else card.get("size", _size_of(arrays, card["kind"]))
    image = ((card["count"], *height_and_width, 3), np.dtype(np.uint8))
    vote = ((card["count"],), np.dtype(np.float32))
    for name, array in arrays.items():
        expected = vote if name == VOTE_FIELD[card["kind"]] else image
        if (array.shape, array.dtype) != expected:
            raise DamagedSplit(
                f"{folder / name}.npy: holds {array.dtype} {array.shape}, expected {expected[1]} {expected[0]}",
                _REMEDY.format(folder),
            )
