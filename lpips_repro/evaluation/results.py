"""The distances of every method on every split: read where they are stored, else computed and stored."""

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.distributed import Ranks
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances import Distance, DistanceStore, Engine, check_numbers, compute_distances
from lpips_repro.evaluation.foreign import ForeignDistances
from lpips_repro.evaluation.methods import Method

log = logging.getLogger(__name__)


class Results:
    """Distances by method and split, and why a method has none.

    Args:
        engine, batch_size, ranks: for what is computed.
        store: where distances are kept.
        splits: packed splits, 2AFC or JND.

    Attributes:
        distances: label -> split's name -> columns.
        identity: label -> all that the distances depend on.
        not_run: label -> reason.
    """

    def __init__(
        self,
        engine: Engine,
        store: DistanceStore,
        splits: Sequence[PackedSplit],
        batch_size: int,
        ranks: Ranks | None = None,
    ):
        self.engine, self.store, self.splits, self.batch_size = engine, store, splits, batch_size
        self.ranks = ranks or Ranks()
        self.distances: dict[str, dict[str, dict[str, np.ndarray]]] = {}
        self.identity: dict[str, dict] = {}
        self.not_run: dict[str, str] = {}
        self.computed = self.reused = 0

    def add(self, methods: Sequence[Method]) -> None:
        """Load the methods' distances, computing those that are missing, all of a split together."""
        built: dict[str, Distance] = {}
        with self.ranks.first_before_others():  # it may download weights
            for method in methods:
                try:
                    distance = method.build(self.engine)
                    if isinstance(distance, ForeignDistances):
                        self.distances[method.label] = {s.name: distance.read(s) for s in self.splits}
                        self.identity[method.label] = distance.identity
                    else:
                        built[method.label] = distance
                except UserError as error:
                    self._not_run(method.label, f"not run: {error}")
        for label in self.ranks.from_first(list(built)):
            if label not in built:
                raise UserError(
                    f"{label}: {self.not_run[label]}: the first process has them: give all of them the same"
                )
        for label, distance in built.items():
            self.identity[label], self.distances[label] = distance.identity, {}
        for split in self.splits:
            stored = self._stored(built, split) if self.ranks.first else {}
            missing = self.ranks.from_first([label for label in built if label not in stored])
            for label, values in stored.items():
                self.distances[label][split.name] = values
            if missing:
                self._compute({label: built[label] for label in missing}, split)

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

    def _stored(self, distances: Mapping[str, Distance], split: PackedSplit) -> dict[str, dict[str, np.ndarray]]:
        found = {label: self.store.load(label, distance.identity, split) for label, distance in distances.items()}
        found = {label: values for label, values in found.items() if values is not None}
        self.reused += len(found)
        return found

    def _compute(self, distances: Mapping[str, Distance], split: PackedSplit) -> None:
        computed = compute_distances(distances, split, self.engine.device, self.batch_size, self.ranks)
        faults = []
        for label, values in computed.items():
            try:
                check_numbers(values, f"{label} on {split.name}")
            except UserError as error:  # told when the others, which may have taken hours, are stored
                faults.append(error)
                continue
            self.distances[label][split.name] = values
            if self.ranks.first:
                self.store.save(label, distances[label].identity, split, values)
        if faults:
            raise faults[0]
        self.computed += len(computed)

    def _not_run(self, label: str, reason: str) -> None:
        if reason not in self.not_run.values() and self.ranks.first:
            log.warning("%s %s", label, reason)
        self.not_run[label] = reason
