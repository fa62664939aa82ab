"""The images that a trial shows: patches as they are packed, and what is made from them."""

import functools
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from lpips_repro.collect.models import Item, Trial
from lpips_repro.collect.protocol import PLACES, SAME, SHOWN_ITEM, SIGMA
from lpips_repro.collect.settings import CollectConfig
from lpips_repro.datasets.packed import IMAGE_FIELDS, PHASES
from lpips_repro.datasets.packing.layout import SplitFolder, find_splits
from lpips_repro.datasets.packing.patches import PatchForm, load_patch
from lpips_repro.errors import UserError

KEPT = 512  # trials whose PNG files are in memory


@dataclass(frozen=True)
class Examples:
    """The images of a dataset in the BAPPS layout, whose patches have a form."""

    root: Path
    form: PatchForm

    @classmethod
    def of(cls, cfg: CollectConfig) -> "Examples":
        """Those of the settings."""
        return cls(Path(cfg.dataset), PatchForm(cfg.size, cfg.resize.value))

    def splits(self) -> Iterator[SplitFolder]:
        """All splits, with judgments or without; UserError if there is none, or a file of one is missing."""
        phases = [one for one in PHASES if any((self.root / kind / one).is_dir() for kind in IMAGE_FIELDS)]
        for phase in phases or PHASES:
            yield from find_splits(self.root, phase, judged=False)

    def patches(self, kind: str, phase: str, split: str, name: str) -> dict[str, np.ndarray]:
        """The patches of an example by field, uint8 (size, size, 3)."""
        folder = self.root / kind / phase / split
        return {field: load_patch(folder / field / f"{name}.png", self.form)[0] for field in IMAGE_FIELDS[kind]}

    def of_item(self, item: "Item | Shown") -> dict[str, np.ndarray]:
        """The patches of an item; UserError if they are not those that the study began with."""
        patches = self.patches(item.kind, item.phase, item.split, item.name)
        if digest_of(patches) != item.digest:
            where = self.root / item.kind / item.phase / item.split
            raise UserError(f"{where}: {item.name} has changed since the study began: restore its images")
        return patches


def digest_of(patches: dict[str, np.ndarray]) -> str:
    """SHA-256 of the pixels, in the order of the fields."""
    sha = hashlib.sha256()
    for pixels in patches.values():
        sha.update(pixels.tobytes())
    return sha.hexdigest()


def trial_images(
    kind: str, shown: str, swapped: bool, patches: dict[str, np.ndarray], seed: int | None
) -> dict[str, Any]:
    """What a trial shows, by place (see `PLACES`): uint8 (size, size, 3).

    Args:
        kind, shown, swapped: of the trial; patches: of its item; seed: of the noise, if there is any.
    """
    ref = patches[IMAGE_FIELDS[kind][0]]
    if shown == SHOWN_ITEM:
        p0, p1 = patches["p0"], patches["p1"]
    else:
        p0, p1 = ref, ref if shown == SAME else noisy(ref, SIGMA[shown], seed)
    pair = (p1, p0) if swapped else (p0, p1)
    return dict(zip(PLACES[kind], pair if kind == "jnd" else (ref, *pair), strict=True))


def noisy(image: np.ndarray, sigma: float, seed: int | None) -> np.ndarray:
    """An image with Gaussian noise of a standard deviation (of the range of 1), uint8 (H, W, 3)."""
    noise = np.random.default_rng(seed).normal(0, 255 * sigma, image.shape)
    return np.rint(image + noise).clip(0, 255).astype(np.uint8)


class Shown(NamedTuple):
    """What a trial shows: kind, phase, split, name and digest of its item, and see `trial_images`."""

    kind: str
    phase: str
    split: str
    name: str
    digest: str
    shown: str
    swapped: bool
    seed: int | None


def shown_by(trial: Trial, item: Item) -> Shown:
    """Of a trial and its item. Only noise needs a seed: without one, the images are those of other workers."""
    seed = trial.id if trial.shown in SIGMA else None
    return Shown(item.kind, item.phase, item.split, item.name, item.digest, trial.shown, trial.swapped, seed)


@functools.lru_cache(KEPT)
def pictures(examples: Examples, one: Shown) -> dict[str, bytes]:
    """The images of a trial as PNG files, by place; the latest are kept, since several workers see each item."""
    images = trial_images(one.kind, one.shown, one.swapped, examples.of_item(one), one.seed)
    return {place: png(image) for place, image in images.items()}


def png(image: np.ndarray) -> bytes:
    """A PNG file of these very pixels."""
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG", compress_level=1)  # small already: time counts
    return content.getvalue()
