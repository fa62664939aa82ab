"""The distances of every method on every split: read where they are stored, else computed and stored."""

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.distributed import Ranks
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances import Distance, Engine, compute_distances
from lpips_repro.evaluation.foreign import ForeignDistances
from lpips_repro.evaluation.methods import Method
from lpips_repro.evaluation.protocols import protocol_of
from lpips_repro.evaluation.store import DistanceStore

log = logging.getLogger(__name__)

# Examples after which distances are on disk: a minute of VGG on two cores, so that a kill costs little.
PART = 2000


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
        built, not_run = build_methods(methods, self.engine, self.ranks)
        self.not_run |= not_run
        for label in [label for label, distance in built.items() if isinstance(distance, ForeignDistances)]:
            self._read(label, built.pop(label))
        for label, distance in built.items():
            self.identity[label], self.distances[label] = distance.identity, {}
        for split in self.splits:
            able = {label: distance for label, distance in built.items() if label not in self.not_run}
            stored = self._stored(able, split) if self.ranks.first else {}
            missing = self.ranks.from_first([label for label in able if label not in stored])
            for label, values in stored.items():
                self.distances[label][split.name] = values
            if missing:
                self._compute({label: able[label] for label in missing}, split)

    def on(self, method: Method, splits: Sequence[PackedSplit]) -> dict[str, dict[str, np.ndarray]]:
        """The distances of a method by the short names of splits."""
        return {split.card["split"]: self.distances[method.label][split.name] for split in splits}

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

    def _read(self, label: str, foreign: ForeignDistances) -> None:
        try:
            self.distances[label] = {split.name: foreign.read(split) for split in self.splits}
            self.identity[label] = foreign.identity
        except UserError as error:
            self.not_run[label] = f"not run: {error}"
            log.warning("%s %s", label, self.not_run[label])

    def _compute(self, distances: Mapping[str, Distance], split: PackedSplit) -> None:
        """Compute distances in parts, from where an interrupted run left them, and store each part."""
        known: dict[str, np.ndarray] = {}
        if self.ranks.first:
            begun = {label: self.store.begun(label, one.identity, split) for label, one in distances.items()}
            known = {label: values for label, values in begun.items() if values is not None}
        counts = {label: values.shape[1] for label, values in known.items()}
        counts = self.ranks.from_first({label: counts.get(label, 0) for label in distances})
        for count in sorted(set(counts.values())):
            labels = [label for label in distances if counts[label] == count]
            self._from(count, {label: distances[label] for label in labels}, split, known)

    def _from(
        self, count: int, distances: Mapping[str, Distance], split: PackedSplit, known: dict[str, np.ndarray]
    ) -> None:
        """Compute and store the distances of the examples after the first `count`, which are known."""
        together = self.batch_size * self.ranks.world
        size = -(-PART // together) * together
        for start in range(count, len(split), size):
            part = range(start, min(start + size, len(split)))
            able = {label: distance for label, distance in distances.items() if label not in self.not_run}
            if not able:
                return
            computed, faults = compute_distances(able, split, self.engine.device, self.batch_size, self.ranks, part)
            for label, fault in faults.items():
                self.not_run[label] = f"not run: on {split.name}: {fault}"
                if self.ranks.first:
                    log.warning("%s %s", label, self.not_run[label])
            for label, values in computed.items() if self.ranks.first else ():
                known[label] = np.concatenate([known[label], values], axis=1) if label in known else values
                self.store.add(label, distances[label].identity, split, known[label], len(part))
        for label in distances.keys() - self.not_run.keys():
            self.computed += 1
            if self.ranks.first:
                names = protocol_of(split).distances
                self.distances[label][split.name] = dict(zip(names, known[label], strict=True))


def build_methods(
    methods: Sequence[Method], engine: Engine, ranks: Ranks
) -> tuple[dict[str, Distance | ForeignDistances], dict[str, str]]:
    """The methods ready to run, and why others are not, by label.

    Raises:
        UserError: where the first process has weights that this one has not.
    """
    built: dict[str, Distance | ForeignDistances] = {}
    not_run: dict[str, str] = {}
    with ranks.first_before_others():  # it may download weights
        for method in methods:
            try:
                built[method.label] = method.build(engine)
            except UserError as error:
                reason = f"not run: {error}"
                if reason not in not_run.values() and ranks.first:
                    log.warning("%s %s", method.label, reason)
                not_run[method.label] = reason
    for label in ranks.from_first(list(built)):
        if label not in built:
            raise UserError(f"{label}: {not_run[label]}: the first process has them: give all of them the same")
    return built, not_run
