"""Distances of whole images from their references at several sizes, computed once and kept on disk.

A CSV a method and size (image, distance), and a JSON beside it with the identity: all that the values depend on. Its
hash is part of the file name. What is there of a CSV is used: it grows by all images of a reference at a time.
"""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from lpips_repro.datasets.tid2013 import DistortedImage, digest_images, load_image
from lpips_repro.distributed import Ranks
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances import Distance, Engine, check_shape, load_batch, write_whole
from lpips_repro.evaluation.methods import Method, code_version
from lpips_repro.evaluation.results import build_methods

log = logging.getLogger(__name__)

COLUMNS = "image,distance"
# At once where no batch size is given: those of 50 and of 500 patches, as for BAPPS.
PIXELS = {"cpu": 50 * 64**2, "cuda": 500 * 64**2}


class ImageDistanceStore:
    """The distances under a folder, a part of the images or all of them.

    Args:
        root: the folder; made when first written to.
    """

    def __init__(self, root: Path):
        self.root = root

    def load(self, label: str, identity: dict[str, Any]) -> dict[str, float]:
        """The stored distances of a method by image; UserError where the file is damaged."""
        path = self.path(label, identity)
        if not path.is_file():
            return {}
        head, *lines = path.read_text().splitlines() or [""]
        try:
            if head != COLUMNS:
                raise ValueError(f"expected the columns {COLUMNS}")
            return {name: float(np.float32(value)) for name, value in (line.split(",") for line in lines)}
        except ValueError as error:
            raise UserError(f"{path}: damaged distances ({error}): delete it to compute them anew") from error

    def save(self, label: str, identity: dict[str, Any], distances: Mapping[str, float]) -> None:
        """Write distances over those that are there."""
        path = self.path(label, identity)
        path.parent.mkdir(parents=True, exist_ok=True)
        card = {**identity, "method": label, "torch": torch.__version__}
        write_whole(path.with_suffix(".json"), json.dumps(card, indent=2) + "\n")
        lines = [f"{name},{value:.9g}" for name, value in sorted(distances.items())]  # 9 digits keep a float32
        write_whole(path, "\n".join([COLUMNS, *lines]) + "\n")

    def path(self, label: str, identity: dict[str, Any]) -> Path:
        """The CSV for this method and identity."""
        key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
        return self.root / f"size-{identity['size']}" / f"{label}-{key}.csv"


class ImageResults:
    """Distances by method and size, and why a method has none.

    Args:
        engine: for what is computed; batch_size: images at once, or None for what suits their size.
        store: where distances are kept.
        images: those of a reference together.
        ranks: the processes that share the work: each takes every n-th reference.

    Attributes:
        distances: label -> size -> float32 (N,), in the order of the images.
        identity: label -> all that the distances depend on, but for the size.
        not_run: label -> reason.
        failed: label -> size -> reason.
    """

    def __init__(
        self,
        engine: Engine,
        store: ImageDistanceStore,
        images: Sequence[DistortedImage],
        batch_size: int | None = None,
        ranks: Ranks | None = None,
    ):
        self.engine, self.store, self.images, self.batch_size = engine, store, images, batch_size
        self.ranks = ranks or Ranks()
        self.groups = [list(group) for _, group in groupby(images, key=lambda image: image.reference)]
        digest = digest_images(images, self.ranks.first) if self.ranks.first else ""
        self.common = {"images_digest": self.ranks.from_first(digest), "reader": code_version(load_image)}
        self.distances: dict[str, dict[int, np.ndarray]] = {}
        self.identity: dict[str, dict[str, Any]] = {}
        self.not_run: dict[str, str] = {}
        self.failed: dict[str, dict[int, str]] = {}
        self.computed = self.reused = 0

    def add(self, methods: Sequence[Method], sizes: Sequence[int]) -> None:
        """Load the methods' distances at all sizes, computing those that are missing, all of a size together."""
        built, self.not_run = build_methods(methods, self.engine, self.ranks)
        for label, distance in built.items():
            self.identity[label] = {**distance.identity, **self.common}
            self.distances[label], self.failed[label] = {}, {}
        for size in sizes:
            self._at(size, built)

    def summary(self) -> str:
        """One line: how many were computed, how many were there."""
        if self.computed == 0:
            return f"distances: all {self.reused} there already in {self.store.root}, nothing recomputed"
        return f"distances: {self.computed} computed, {self.reused} there already, in {self.store.root}"

    def _at(self, size: int, built: Mapping[str, Distance]) -> None:
        identity = {label: {**self.identity[label], "size": size} for label in built}
        stored = {k: self.store.load(k, card) for k, card in identity.items()} if self.ranks.first else None
        found = self.ranks.from_first(stored)
        self.reused += sum(map(len, found.values()))
        what, hidden = f"{len(built)} methods at {size} pixels", None if self.ranks.first else True
        with tqdm(total=len(self.images), desc=what, unit="image", leave=False, disable=hidden) as bar:
            for start in range(0, len(self.groups), self.ranks.world):
                groups = self.groups[start : start + self.ranks.world]
                own = groups[self.ranks.rank] if self.ranks.rank < len(groups) else []
                missing = [label for label in built if any(image.name not in found[label] for image in own)]
                values, faults = self._compute(own, {k: built[k] for k in missing if size not in self.failed[k]}, size)
                for label in self._merge(found, self.ranks.gather((values, faults)), size):
                    if self.ranks.first:
                        self.store.save(label, identity[label], found[label])
                bar.update(sum(map(len, groups)))
        for label in built:
            if size not in self.failed[label]:
                values = [found[label][image.name] for image in self.images]
                self.distances[label][size] = np.array(values, np.float32)

    def _merge(self, found: Mapping[str, dict[str, float]], parts: list[tuple[dict, dict]], size: int) -> set[str]:
        """Add what the ranks computed, and why they did not; returns the methods that have more now."""
        for values, faults in parts:
            for label, more in values.items():
                self.computed += len(more)
                found[label].update(more)
            for label, reason in faults.items():
                if size not in self.failed[label] and self.ranks.first:
                    log.warning("%s at %d pixels: not run: %s", label, size, reason)
                self.failed[label].setdefault(size, reason)
        return {label for values, _ in parts for label in values}

    @torch.inference_mode()
    def _compute(
        self, group: Sequence[DistortedImage], distances: Mapping[str, Distance], size: int
    ) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
        """By method the distances of a reference's images, and the reason of those that cannot take them."""
        values: dict[str, dict[str, float]] = {label: {} for label in distances}
        faults: dict[str, str] = {}
        if not distances:
            return values, faults
        reference = load_image(group[0].reference, size)
        height, width, _ = reference.shape
        at_once = self.batch_size or max(1, PIXELS[self.engine.device.type] // (height * width))
        for start in range(0, len(group), at_once):
            batch = group[start : start + at_once]
            distorted = np.stack([_like(reference, image, size) for image in batch])
            x = load_batch(np.stack([reference] * len(batch)), self.engine.device)
            y = load_batch(distorted, self.engine.device)
            for label, distance in distances.items():
                if label in faults:
                    continue
                try:
                    numbers = distance.pair(x, y)
                    check_shape(numbers, len(batch), label)
                    numbers = numbers.float().cpu().numpy()
                    if np.isnan(numbers).any():
                        name = batch[int(np.isnan(numbers).argmax())].name
                        raise UserError(f"the distance of {name} is NaN: a fault of the metric")
                # Whatever a network says of images of a size that it cannot take, torchvision's by assertions.
                except (ValueError, AssertionError, RuntimeError) as error:
                    faults[label] = str(error).partition("\n")[0]
                    del values[label]
                    continue
                values[label].update(zip((image.name for image in batch), numbers.tolist(), strict=True))
        return values, faults


def _like(reference: np.ndarray, image: DistortedImage, size: int) -> np.ndarray:
    found = load_image(image.distorted, size)
    if found.shape != reference.shape:
        height, width, _ = found.shape
        raise UserError(
            f"{image.distorted}: {width} x {height} with a smaller side of {size}, but its reference"
            f" {image.reference.name} has {reference.shape[1]} x {reference.shape[0]}: restore the file"
        )
    return found
