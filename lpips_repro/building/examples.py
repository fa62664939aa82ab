"""Examples: a recipe is drawn at random, and the images are computed from the recipe alone.

Every example has its own random generator, seeded by its split and index. So it does not depend on the process that
makes it.
"""

import dataclasses
import functools
import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lpips_repro.building.patches import cut, find_patch, without_margin
from lpips_repro.building.photographs import Photograph
from lpips_repro.building.recipes import Recipe
from lpips_repro.config.building import BuildConfig, Distortions
from lpips_repro.datasets.packed import IMAGE_FIELDS
from lpips_repro.distortions.family import Application, Family
from lpips_repro.distortions.traditional import Traditional
from lpips_repro.errors import UserError, expected
from lpips_repro.images import read_rgb

FAMILIES = {"traditional": ("traditional",), "cnn": ("cnn",), "mix": ("traditional", "cnn")}


@dataclass(frozen=True)
class Split:
    """A split to build: its kind, phase and name, and the number of its examples."""

    kind: str
    phase: str
    name: str
    count: int

    @property
    def path(self) -> str:
        """Its folder in the dataset."""
        return f"{self.kind}/{self.phase}/{self.name}"


def splits_of(cfg: BuildConfig) -> list[Split]:
    """The splits of the settings. As in BAPPS, mix is only for train."""
    splits = []
    for kind, phase, count in (("2afc", "train", cfg.train), ("2afc", "val", cfg.val), ("jnd", "val", cfg.jnd)):
        for name in cfg.splits:
            if count and (phase == "train" or name is not Distortions.mix):
                splits.append(Split(kind, phase, name.value, count))
    return splits


@functools.cache
def open_families(cnn: str | None) -> dict[str, Family]:
    """The families of distortions by name: the traditional one and, if a folder is given, its autoencoders."""
    if cnn is None:
        return {"traditional": Traditional()}
    from lpips_repro.cnn_distortions import CnnFamily  # imported here, since it imports torch

    return {"traditional": Traditional(), "cnn": CnnFamily(Path(cnn))}


def draw_recipe(
    cfg: BuildConfig, split: Split, index: int, of: Photograph, image: np.ndarray, families: Mapping[str, Family]
) -> Recipe:
    """Draw the recipe of an example.

    Args:
        cfg: settings; split, index: the split, and the place of the example in it.
        of: the photograph; image: its pixels, uint8 or uint16 (H, W, 3).
        families: from `open_families`.
    """
    rng = np.random.default_rng(np.random.SeedSequence(cfg.seed, spawn_key=(zlib.crc32(split.path.encode()), index)))
    crop = find_patch(image, cfg, rng)
    assert crop is not None  # without a limit, it draws until it finds one
    own = [families[name] for name in FAMILIES[split.name]]
    if split.kind == "jnd":
        p0, p1 = [], own[0].draw(rng, *cfg.severity_jnd)
    else:
        p0, p1 = (family.draw(rng, *cfg.severity_2afc) for family in (own[0], own[-1]))
        while _without_seeds(p0) == _without_seeds(p1):  # most autoencoders would make two equal images
            p1 = own[-1].draw(rng, *cfg.severity_2afc)
        if rng.random() < 0.5:
            p0, p1 = p1, p0
    place = (split.path, f"{index:06d}", of.name, of.sha256)
    return Recipe(*place, crop, cfg.size, cfg.margin, tuple(p0), tuple(p1))


def _without_seeds(applied: Sequence[Application]) -> list[Application]:
    return [application._replace(seed=0) for application in applied]


def render(recipe: Recipe, image: np.ndarray, families: Mapping[str, Family]) -> dict[str, np.ndarray]:
    """The images of an example, uint8 (size, size, 3), by field: ref, p0, p1 (2AFC) or p0, p1 (JND)."""
    patch = cut(image, recipe.crop, recipe.size + 2 * recipe.margin)
    applied: dict[str, tuple[Application, ...]] = {"ref": (), "p0": recipe.p0, "p1": recipe.p1}
    found = {}
    for field in IMAGE_FIELDS[recipe.kind]:
        distorted = patch
        for application in applied[field]:
            if application.family not in families:
                why = f"no family {application.family!r} of distortions: {expected(application.family, families)}"
                if application.family == "cnn":
                    why = "distorted by autoencoders: set cnn to their folder"
                raise UserError(f"{recipe.split}/{recipe.name}: {why}")
            distorted = families[application.family].apply(distorted, application)
        middle = without_margin(distorted, recipe.margin)
        found[field] = np.rint(np.clip(middle, 0, 1) * 255).astype(np.uint8)
    return found


def with_digest(recipe: Recipe, images: Mapping[str, np.ndarray]) -> Recipe:
    """The recipe with the digest of its images, uint8 (size, size, 3) by field."""
    sha = hashlib.sha256()
    for image in images.values():
        sha.update(np.ascontiguousarray(image).data)
    return dataclasses.replace(recipe, pixels_sha256=sha.hexdigest())


def rebuild(recipe: Recipe, images: str | Path, cnn: str | None = None) -> dict[str, np.ndarray]:
    """Make an example again from its recipe.

        recipe = read_recipes(Path("mine/2afc/train/traditional/recipes.parquet"))[0]
        rebuild(recipe, Path("photographs"))["p0"]

    Args:
        recipe: from `read_recipes`.
        images: the folder of photographs that the dataset was built from.
        cnn: the folder of autoencoders, if the example is distorted by one.

    Returns:
        Images uint8 (size, size, 3) by field: ref, p0, p1 (2AFC) or p0, p1 (JND).

    Raises:
        UserError: if the photograph is missing or has changed, if the recipe is not valid, or if the pixels differ from
            those that were built.
    """
    image = read_photograph(Path(images), recipe.image, recipe.image_sha256)
    (height, width, _), (left, top, side, _) = image.shape, recipe.crop
    if not (0 <= left <= width - side and 0 <= top <= height - side and side >= recipe.size + 2 * recipe.margin > 0):
        raise UserError(
            f"{recipe.split}/{recipe.name}: {recipe.crop} is not a square inside {recipe.image}: restore the file of"
            " recipes"
        )
    found = render(recipe, image, open_families(cnn))
    if recipe.pixels_sha256 and with_digest(recipe, found).pixels_sha256 != recipe.pixels_sha256:
        raise UserError(
            f"{recipe.split}/{recipe.name}: made again, it has other pixels: use the versions of this program and its"
            " libraries that the file of recipes names"
        )
    return found


def read_photograph(folder: Path, name: str, sha256: str) -> np.ndarray:
    """The pixels of a photograph, uint8 or uint16 (H, W, 3); raises UserError if its SHA-256 is not this one."""
    path = folder / name
    if not path.is_file():
        raise UserError(f"{path}: no such file, but examples are made from it: restore it")
    if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise UserError(f"{path}: has changed since it was examined: restore it, or build into another folder")
    return read_rgb(path)
