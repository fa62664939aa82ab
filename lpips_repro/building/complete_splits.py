"""Images of complete splits that were deleted or cut off: found by their sizes, and made again from their recipes.

    OUT/2afc/train/traditional/sizes.json        bytes of each image, by field, in the order of the examples

Splits of earlier versions have no such file; of them, only missing and empty images are found.
"""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from lpips_repro.building.durable_files import flush
from lpips_repro.building.examples import Split, rebuild
from lpips_repro.building.recipes import read_recipes
from lpips_repro.config.building import BuildConfig
from lpips_repro.datasets.packed import IMAGE_FIELDS
from lpips_repro.datasets.packing.layout import RECIPES
from lpips_repro.errors import UserError
from lpips_repro.files import naming, read_json, set_aside, write_whole
from lpips_repro.files.locks import exclusive
from lpips_repro.progress import Progress

log = logging.getLogger(__name__)

SIZES = "sizes.json"


def write_image(file: Path, pixels: np.ndarray) -> None:
    """Write the image of an example, uint8 (H, W, 3), as PNG."""
    _, encoded = cv2.imencode(".png", np.ascontiguousarray(pixels[..., ::-1]))
    with naming(file):
        file.write_bytes(encoded.tobytes())


def write_sizes(folder: Path, split: Split) -> None:
    """Record the sizes of the images of a complete split in its folder."""
    names = _names(split)
    found = {field: _sizes_in(folder / field) for field in IMAGE_FIELDS[split.kind]}
    sizes = {field: [found[field].get(name, 0) for name in names] for field in found}
    write_whole(folder / SIZES, json.dumps(sizes) + "\n")


def restore_images(cfg: BuildConfig, splits: Sequence[Split]) -> None:
    """Make missing and damaged images of complete splits again. Damaged ones are kept as NAME.damaged.

    Raises:
        UserError: if the recipes are missing, or if an image cannot be made again with the same pixels.
    """
    folders = {Path(cfg.out) / split.path: split for split in splits}
    for folder, split in folders.items():
        if not folder.is_dir():
            continue
        if not (folder / RECIPES).is_file():
            remedy = f"restore it, or move {folder} elsewhere: the same command builds the split again"
            raise UserError(f"{folder / RECIPES}: missing: {remedy}")
        if _damaged(folder, split):  # otherwise no lock is needed, and the disk may be read-only
            with exclusive(Path(cfg.out)):
                _restore(cfg, split, folder, _damaged(folder, split))


def _restore(cfg: BuildConfig, split: Split, folder: Path, damaged: Mapping[str, set[str]]) -> None:
    recipes = {f"{recipe.name}.png": recipe for recipe in read_recipes(folder / RECIPES)}
    files: list[Path] = []
    for name in Progress(sorted({name for names in damaged.values() for name in names}), f"restoring {split.path}"):
        if name not in recipes:
            raise UserError(f"{folder / RECIPES}: has no {name}: restore the file")
        images = rebuild(recipes[name], cfg.images, cfg.cnn)
        for file, field in ((folder / field / name, field) for field, names in damaged.items() if name in names):
            if file.exists():
                set_aside(file)
            file.parent.mkdir(exist_ok=True)
            write_image(file, images[field])
            files.append(file)
    flush(files)
    log.warning("%s: images were missing or cut off: %d made again, such as %s", folder, len(files), files[0])


def _damaged(folder: Path, split: Split) -> dict[str, set[str]]:
    """The names of missing images, and of those of another size than recorded, by field."""
    recorded, names = _recorded(folder / SIZES, split), _names(split)
    damaged = {}
    for field in IMAGE_FIELDS[split.kind]:
        found = _sizes_in(folder / field)
        if wrong := {
            name for name, size in zip(names, recorded[field], strict=True) if not _is_whole(found.get(name), size)
        }:
            damaged[field] = wrong
    return damaged


def _is_whole(found: int | None, recorded: int | None) -> bool:
    return bool(found) if recorded is None else found == recorded


def _recorded(file: Path, split: Split) -> dict[str, Sequence[int | None]]:
    """The recorded size of each image by field; None if it is unknown."""
    unknown: list[int | None] = [None] * split.count
    try:
        sizes = read_json(file)
        whole = {field: sizes[field] for field in IMAGE_FIELDS[split.kind]}
    except FileNotFoundError:
        return dict.fromkeys(IMAGE_FIELDS[split.kind], unknown)
    except (OSError, ValueError, LookupError, TypeError):
        whole = {}
    if not whole or any(not isinstance(one, list) or len(one) != split.count for one in whole.values()):
        log.warning("%s: damaged: only missing and empty images can be found", file)
        return dict.fromkeys(IMAGE_FIELDS[split.kind], unknown)
    return whole


def _sizes_in(folder: Path) -> dict[str, int]:
    if not folder.is_dir():
        return {}
    with os.scandir(folder) as entries:
        return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}


def _names(split: Split) -> list[str]:
    return [f"{index:06d}.png" for index in range(split.count)]
