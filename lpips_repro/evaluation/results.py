"""The distances of every method on every split: read where they are stored, else computed and stored."""

import logging
from collections.abc import Sequence

import numpy as np
import torch

from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances import Distance, DistanceStore, compute_distances
from lpips_repro.evaluation.methods import Method

log = logging.getLogger(__name__)


class Results:
    """Distances by method and split, and why a method has none.

    Args:
        device, batch_size: for what is computed.
        store: where distances are kept.
        splits: packed splits, 2AFC or JND.

    Attributes:
        distances: label -> split's name -> columns.
        identity: label -> all that the distances depend on.
        not_run: label -> reason.
    """

    def __init__(self, device: torch.device, store: DistanceStore, splits: Sequence[PackedSplit], batch_size: int):
        self.device, self.store, self.splits, self.batch_size = device, store, splits, batch_size
        self.distances: dict[str, dict[str, dict[str, np.ndarray]]] = {}
        self.identity: dict[str, dict] = {}
        self.not_run: dict[str, str] = {}
        self.computed = self.reused = 0

    def add(self, method: Method) -> None:
        """Load the method's distances, computing those that are missing."""
        try:
            distance = method.build(self.device)
        except UserError as error:
            reason = f"not run: {error}"
            if reason not in self.not_run.values():
                log.warning("%s %s", method.label, reason)
            self.not_run[method.label] = reason
            return
        self.identity[method.label] = distance.identity
        self.distances[method.label] = {split.name: self._on_split(method, distance, split) for split in self.splits}

    def on(self, method: Method, splits: Sequence[PackedSplit]) -> dict[str, dict[str, np.ndarray]]:
        """The distances of a method by the short names of splits."""
        return {split.card["split"]: self.distances[method.label][split.name] for split in splits}

    def words(self, method: Method) -> str:
        """The origin of a method and the identity of its distances, as key=value words."""
        words = [f"{key}={value}" for key, value in self.identity[method.label].items() if value is not None]
        return " ".join([f"{method.origin}:"] * bool(method.origin) + words)

    def summary(self) -> str:
        """One line: how many were computed, how many were there."""
        if self.computed == 0:
            return f"distances: all {self.reused} there already in {self.store.root}, nothing recomputed"
        return f"distances: {self.computed} computed, {self.reused} there already, in {self.store.root}"

    def _on_split(self, method: Method, distance: Distance, split: PackedSplit) -> dict[str, np.ndarray]:
        stored = self.store.load(method.label, distance.identity, split)
        if stored is not None:
            self.reused += 1
            return stored
        values = compute_distances(distance, split, self.device, self.batch_size, method.label)
        self.store.save(method.label, distance.identity, split, values)
        self.computed += 1
        return values
