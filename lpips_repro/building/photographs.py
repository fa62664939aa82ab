"""The photographs that examples are made of: which can be used, and which are for train and which for val.

Photographs are looked at in an order that depends on the seed, until there is one for every example. Left out, with the
reason, are those that cannot be decoded, that are too small for a patch with its margin, in which a hundred random
patches have too little contrast, or that show the very pixels of another one, of whatever format and depth. Of those
that are left, a share is for val alone. Which ones depends on their pixels and the seed, not on their names.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from lpips_repro.building.near_copies import near_copies, thumbnail_of
from lpips_repro.building.patches import TRIES, find_patch
from lpips_repro.config.building import BuildConfig
from lpips_repro.errors import UserError
from lpips_repro.images import read_rgb
from lpips_repro.photographs.crops import SUFFIXES, name_of, photographs_in
from lpips_repro.photographs.left_out import named, reason
from lpips_repro.progress import Progress

BATCH = 64  # photographs looked at before it is asked whether they are enough


@dataclass(frozen=True)
class Photograph:
    """A photograph that was looked at: a line of `photographs.csv`.

    Attributes:
        name: path of the file in the folder of photographs.
        phase: "train" or "val", or "" if it is left out; why: the reason for that.
        width, height: in pixels, 0 if it cannot be decoded.
        sha256: of the file; pixels: SHA-256 of the decoded pixels, in 8 bits.
        near_copy: of one for val: the name of one for train that looks nearly the same, if there is one.
        thumbnail: that this is told by; it is not in the file.
    """

    name: str
    phase: str = ""
    why: str = ""
    width: int = 0
    height: int = 0
    sha256: str = ""
    pixels: str = ""
    near_copy: str = ""
    thumbnail: bytes = field(default=b"", repr=False, compare=False)

    def line(self) -> dict[str, str]:
        """Its fields as text."""
        return {key: str(value) for key, value in asdict(self).items() if key != "thumbnail"}


def list_photographs(folder: Path) -> list[str]:
    """The names of the photographs in a folder and the folders in it, sorted; UserError if there is none."""
    names = [name_of(file, folder) for file in photographs_in(folder)]
    if not names:
        raise UserError(f"{folder}: no photographs ({', '.join(sorted(SUFFIXES))}) in it and the folders in it")
    return names


def choose_photographs(cfg: BuildConfig, names: Sequence[str], run: Callable) -> list[Photograph]:
    """Look at photographs until there are enough, and give each its phase.

    Args:
        cfg: settings; names: from `list_photographs`; run: a `map` that keeps the order.

    Returns:
        All that were looked at, in that order.

    Raises:
        UserError: if there are too few that can be used.
    """
    order = sorted(names, key=lambda name: _digest(f"{cfg.seed} {name}".encode()))
    wanted = cfg.train + max(cfg.val, cfg.jnd)  # no example needs a second photograph
    seen: list[Photograph] = []
    known: dict[str, str] = {}
    for photograph in _looked_at(cfg, order, run):
        if not photograph.why and (first := known.setdefault(photograph.pixels, photograph.name)) != photograph.name:
            photograph = replace(photograph, why=f"the same picture as {first}")
        seen.append(photograph)
        if len(known) >= wanted:
            break
    return _with_phases(cfg, seen)


def left_out_of(photographs: Sequence[Photograph]) -> dict[str, str]:
    """The reasons of those that are left out, by name."""
    return {one.name: one.why for one in photographs if one.why}


def examine(cfg: BuildConfig, name: str) -> Photograph:
    """Look at one photograph."""
    path = Path(cfg.images) / name
    try:
        content = path.read_bytes()
        image = read_rgb(path)
    except (UserError, OSError) as error:
        return Photograph(name, why=f"cannot be decoded: {reason(path, error)}")
    height, width, _ = image.shape
    found = Photograph(name, "", "", width, height, _digest(content), _digest_of_pixels(image))
    if min(width, height) < cfg.padded:
        return replace(found, why=f"too small: less than {cfg.padded} pixels a side")
    rng = np.random.default_rng(int(found.pixels[:16], 16))
    if find_patch(image, cfg, rng, TRIES) is None:
        return replace(found, why="too little contrast")
    return replace(found, thumbnail=thumbnail_of(image))


def _looked_at(cfg: BuildConfig, order: Sequence[str], run: Callable) -> Iterator[Photograph]:
    with Progress(total=len(order), desc="looking at photographs", unit="photograph") as bar:
        for start in range(0, len(order), BATCH):
            for photograph in run(_examine, [(cfg, name) for name in order[start : start + BATCH]]):
                bar.update()
                yield photograph


def _examine(task: tuple[BuildConfig, str]) -> Photograph:
    return examine(*task)


def _with_phases(cfg: BuildConfig, seen: Sequence[Photograph]) -> list[Photograph]:
    usable = sorted((one for one in seen if not one.why), key=lambda one: _digest(f"{cfg.seed} {one.pixels}".encode()))
    needed = bool(cfg.train) + bool(cfg.val + cfg.jnd)
    if len(usable) < needed:
        left_out = left_out_of(seen)
        raise UserError(
            f"{cfg.images}: {len(usable)} of {len(seen)} photographs can be used: expected at least {needed}"
            f"{', as train and val have none in common' if needed > 1 else ''}"
            f"{f': left out: {named(left_out)}' if left_out else ''}"
        )
    for_val = min(max(round(cfg.val_share * len(usable)), 1), len(usable) - 1)
    if needed == 1:
        for_val = 0 if cfg.train else len(usable)
    phases = {one.name: "val" if place < for_val else "train" for place, one in enumerate(usable)}
    return _with_near_copies([replace(one, phase=phases.get(one.name, "")) for one in seen])


def _with_near_copies(photographs: Sequence[Photograph]) -> list[Photograph]:
    train, val = ([one for one in photographs if one.phase == phase] for phase in ("train", "val"))
    if not (train and val):
        return [*photographs]
    found = near_copies([one.thumbnail for one in val], [one.thumbnail for one in train])
    names = {val[of].name: train[place].name for of, place in found.items()}
    return [replace(one, near_copy=names.get(one.name, "")) for one in photographs]


def _digest_of_pixels(image: np.ndarray) -> str:
    """Of pixels uint8 or uint16 (H, W, 3) in 8 bits: a picture is the same one if it is also kept in 16 bits."""
    if image.dtype == np.uint16:
        image = np.rint(image / np.float32(257)).astype(np.uint8)
    return _digest(f"{image.shape}".encode(), image.data)


def _digest(*parts: bytes | memoryview) -> str:
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part)
    return sha.hexdigest()
