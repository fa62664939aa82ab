"""The distances of every method at every size: read where they are stored, else computed and stored by reference."""

import logging
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from lpips_repro.datasets.mos.images import DistortedImage, digest_images
from lpips_repro.distributed import Ranks
from lpips_repro.evaluation.distances import Distance, Engine
from lpips_repro.evaluation.foreign import ForeignDistances
from lpips_repro.evaluation.image_distances import ImageDistanceStore, compute_reference
from lpips_repro.evaluation.methods import Method
from lpips_repro.evaluation.results import build_methods
from lpips_repro.progress import Progress
from lpips_repro.provenance import digest_of

log = logging.getLogger(__name__)

# What turns image files into what methods see.
READER = ("files/decoding.py", "datasets/mos/images.py", "evaluation/image_distances.py")


class ImageResults:
    """Distances by method and size, and why a method has none.

    Args:
        engine: for what is computed; batch_size: images at once, or None for what suits their size.
        store: where distances are kept.
        images: those of a reference together.
        ranks: the processes that share the work: each takes every n-th reference.

    Attributes:
        distances: label -> size -> (N,), in the order of the images.
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
        digest = self.ranks.from_first(digest_images(images) if self.ranks.first else "")
        self.common = {"images_digest": digest, "reader": digest_of(READER)}
        self.distances: dict[str, dict[int, np.ndarray]] = {}
        self.identity: dict[str, dict[str, Any]] = {}
        self.not_run: dict[str, str] = {}
        self.failed: dict[str, dict[int, str]] = {}
        self.computed = self.reused = 0

    def add(self, methods: Sequence[Method], sizes: Sequence[int]) -> None:
        """Load the methods' distances at all sizes, computing those that are missing, all of a size together."""
        built, self.not_run = build_methods(methods, self.engine, self.ranks)
        for label in [label for label, distance in built.items() if isinstance(distance, ForeignDistances)]:
            del built[label]
            self.not_run[label] = "not run: distances of another program are read for 2AFC and JND alone"
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
        with Progress(total=len(self.images), desc=what, unit="image", leave=False, disable=hidden) as bar:
            for start in range(0, len(self.groups), self.ranks.world):
                groups = self.groups[start : start + self.ranks.world]
                own = groups[self.ranks.rank] if self.ranks.rank < len(groups) else []
                missing = [label for label in built if any(image.name not in found[label] for image in own)]
                able = {label: built[label] for label in missing if size not in self.failed[label]}
                part = compute_reference(own, able, size, self.engine.device, self.batch_size) if able else ({}, {})
                for label in self._merge(found, self.ranks.gather(part), size):
                    if self.ranks.first:
                        self.store.save(label, identity[label], found[label])
                bar.update(sum(map(len, groups)))
        for label in built:
            if size not in self.failed[label]:
                values = [found[label][image.name] for image in self.images]
                self.distances[label][size] = np.array(values)

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
