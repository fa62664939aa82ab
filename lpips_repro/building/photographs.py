"""The photographs that examples are made from: which can be used, and which are for train and for val.

Photographs are examined in an order that depends on the seed, until there is one for every example. A photograph is
left out, with the reason, if

- it cannot be decoded,
- it is too small for a patch with its margin,
- a hundred random patches of it have too little contrast, or
- its pixels equal those of another photograph, in any format and bit depth.

A share of the others is only for val. This choice depends on pixels and seed, not on names.
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

BATCH = 64  # photographs that are examined at a time


@dataclass(frozen=True)
class Photograph:
    """A photograph that was examined: a line of `photographs.csv`.

    Attributes:
        name: path of the file in the folder of photographs.
        phase: "train" or "val", or "" if it is left out; why: the reason for that.
        width, height: in pixels, 0 if it cannot be decoded.
        sha256: SHA-256 of the file; pixels: SHA-256 of the decoded pixels, in 8 bits.
        near_copy: for a photograph of val, the name of one of train that looks nearly the same, or "".
        thumbnail: gray values for the search of near copies; not in the file.
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
        """Its fields in the file, as text."""
        return {key: str(value) for key, value in asdict(self).items() if key != "thumbnail"}


def list_photographs(folder: Path) -> list[str]:
    """The names of the photographs in a folder and its subfolders, sorted; raises UserError if there is none."""
    names = [name_of(file, folder) for file in photographs_in(folder)]
    if not names:
        raise UserError(f"{folder}: no photographs ({', '.join(sorted(SUFFIXES))}) in it and its subfolders")
    return names


def choose_photographs(cfg: BuildConfig, names: Sequence[str], run: Callable) -> list[Photograph]:
    """Examine photographs until there are enough, and assign their phases.

    Args:
        cfg: settings; names: from `list_photographs`; run: a `map` that keeps the order.

    Returns:
        All photographs that were examined, in that order.

    Raises:
        UserError: if too few of them can be used.
    """
    order = sorted(names, key=lambda name: _digest(f"{cfg.seed} {name}".encode()))
    wanted = cfg.train + max(cfg.val, cfg.jnd)  # no example needs a second photograph
    seen: list[Photograph] = []
    known: dict[str, str] = {}
    for photograph in _examined(cfg, order, run):
        if not photograph.why and (first := known.setdefault(photograph.pixels, photograph.name)) != photograph.name:
            photograph = replace(photograph, why=f"the same picture as {first}")
        seen.append(photograph)
        if len(known) >= wanted:
            break
    return _with_phases(cfg, seen)


def left_out_of(photographs: Sequence[Photograph]) -> dict[str, str]:
    """The photographs that are left out: their reasons by name."""
    return {one.name: one.why for one in photographs if one.why}


def examine(cfg: BuildConfig, name: str) -> Photograph:
    """Examine one photograph: its sizes and digests, and the reason if it cannot be used."""
    path = Path(cfg.images) / name
    try:
        content = path.read_bytes()
        image = read_rgb(path)
    except (UserError, OSError) as error:
        return Photograph(name, why=f"cannot be decoded: {reason(path, error)}")
    height, width, _ = image.shape
    found = Photograph(name, "", "", width, height, _digest(content), _digest_of_pixels(image))
    if min(width, height) < cfg.padded:
        return replace(found, why=f"too small: less than {cfg.padded} pixels per side")
    rng = np.random.default_rng(int(found.pixels[:16], 16))
    if find_patch(image, cfg, rng, TRIES) is None:
        return replace(found, why="too little contrast")
    return replace(found, thumbnail=thumbnail_of(image))


def _examined(cfg: BuildConfig, order: Sequence[str], run: Callable) -> Iterator[Photograph]:
    with Progress(total=len(order), desc="examining photographs", unit="photograph") as bar:
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
            f"{', since train and val share none' if needed > 1 else ''}"
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
    """The digest of pixels uint8 or uint16 (H, W, 3) in 8 bits, so that copies in 16 bits have the same one."""
    if image.dtype == np.uint16:
        image = np.rint(image / np.float32(257)).astype(np.uint8)
    return _digest(f"{image.shape}".encode(), image.data)


def _digest(*parts: bytes | memoryview) -> str:
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part)
    return sha.hexdigest()
