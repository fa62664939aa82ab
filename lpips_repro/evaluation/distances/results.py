"""The distances of all methods on all splits: read if they are stored, else computed and stored."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lpips_repro.datasets.split import Split
from lpips_repro.distributed import Ranks
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances.compute import Distance, Engine, batches_of, compute_distances
from lpips_repro.evaluation.distances.precomputed import PrecomputedDistances
from lpips_repro.evaluation.distances.store import VERSIONS, DistanceStore
from lpips_repro.evaluation.methods.method import Method
from lpips_repro.evaluation.protocols import protocol_of

log = logging.getLogger(__name__)

# Pixels of items after which distances are written to disk: about a minute of VGG on two cores.
PART = 2000 * 64**2


class Results:
    """Distances by method and split, and the reasons for missing ones.

    Args:
        engine, ranks: settings and processes of the computation; batch_size: items per batch; None: automatic.
        store: the store of distances.
        splits: splits of any kinds.

    Attributes:
        distances: label -> split's name -> columns.
        identity: label -> everything that the distances depend on.
        not_run: label -> reason why a method has no distances at all.
        not_scored: label -> kind of splits -> reason why a method has no distances on splits of this kind.
        failed: label -> split's name -> error, for methods with distances on other splits of the kind.
    """

    def __init__(
        self,
        engine: Engine,
        store: DistanceStore,
        splits: Sequence[Split],
        batch_size: int | None = None,
        ranks: Ranks | None = None,
    ):
        self.engine, self.store, self.splits, self.batch_size = engine, store, splits, batch_size
        self.ranks = ranks or Ranks()
        self.distances: dict[str, dict[str, dict[str, np.ndarray]]] = {}
        self.identity: dict[str, dict[str, Any]] = {}
        self.not_run: dict[str, str] = {}
        self.not_scored: dict[str, dict[str, str]] = {}
        self.failed: dict[str, dict[str, str]] = {}
        self.computed = self.reused = self.outdated = 0
        self.changed: set[str] = set()

    def add(self, methods: Sequence[Method]) -> None:
        """Load the distances of methods, and compute missing ones, split by split."""
        built, not_run = build_methods(methods, self.engine, self.ranks)
        self.not_run |= not_run
        for label, distance in built.items():
            self.identity[label] = distance.identity
            self.distances[label], self.not_scored[label], self.failed[label] = {}, {}, {}
            if isinstance(distance, PrecomputedDistances):
                self._read(label, distance)
        own = {label: distance for label, distance in built.items() if isinstance(distance, Distance)}
        stored = {split.name: self._stored(own, split) for split in self.splits} if self.ranks.first else {}
        if self.outdated:
            log.info(
                "%d stored distances of an earlier version are not used, because %s changed: they are computed again,"
                " and the earlier files are kept in %s",
                *(self.outdated, " and ".join(VERSIONS[key] for key in sorted(self.changed)), self.store.root),
            )
        for split in self.splits:
            able = self._able(own, split)
            known = stored.get(split.name, {})
            missing = self.ranks.from_first([label for label in able if label not in known])
            for label, values in known.items():
                self.distances[label][split.name] = values
            if missing:
                self._compute({label: able[label] for label in missing}, split)

    def on(self, method: Method, splits: Sequence[Split]) -> dict[str, dict[str, np.ndarray]]:
        """The distances of a method by the short names of splits, without splits that have none."""
        found = self.distances[method.label]
        return {split.card["split"]: found[split.name] for split in splits if split.name in found}

    def reason(self, method: Method, kind: str) -> str:
        """The reason why a method has no scores on splits of a kind; "" if it has some."""
        return self.not_run.get(method.label) or self.not_scored[method.label].get(kind, "")

    def summary(self) -> str:
        """The numbers of computed and stored distances, as one line."""
        if self.computed == 0:
            return f"distances: all {self.reused} are stored in {self.store.root}, nothing computed"
        return f"distances: {self.computed} computed, {self.reused} already stored in {self.store.root}"

    def _able(self, built: Mapping[str, Distance], split: Split) -> dict[str, Distance]:
        """The methods that have not failed yet on splits of this kind."""
        return {label: distance for label, distance in built.items() if not self._has_failed(label, split)}

    def _has_failed(self, label: str, split: Split) -> bool:
        return split.card["kind"] in self.not_scored[label] or split.name in self.failed[label]

    def _stored(self, distances: Mapping[str, Distance], split: Split) -> dict[str, dict[str, np.ndarray]]:
        found = {label: self.store.load(label, distance.identity, split) for label, distance in distances.items()}
        for label in [label for label, values in found.items() if values is None]:
            changed = self.store.earlier(label, distances[label].identity, split)
            self.outdated += bool(changed)
            self.changed |= changed
        loaded = {label: values for label, values in found.items() if values is not None}
        self.reused += len(loaded)
        return loaded

    def _read(self, label: str, precomputed: PrecomputedDistances) -> None:
        for split in self.splits:
            if not self._has_failed(label, split):
                try:
                    self.distances[label][split.name] = precomputed.read(split)
                except UserError as error:
                    self._fail(label, split, str(error))

    def _compute(self, distances: Mapping[str, Distance], split: Split) -> None:
        """Compute distances in parts, starting after the parts of an interrupted run, and store each part."""
        known: dict[str, np.ndarray] = {}
        if self.ranks.first:
            begun = {label: self.store.begun(label, one.identity, split) for label, one in distances.items()}
            known = {label: values for label, values in begun.items() if values is not None}
        counts = {label: values.shape[1] for label, values in known.items()}
        counts = self.ranks.from_first({label: counts.get(label, 0) for label in distances})
        for count in sorted(set(counts.values())):
            labels = [label for label in distances if counts[label] == count]
            self._from(count, {label: distances[label] for label in labels}, split, known)

    def _from(self, count: int, distances: Mapping[str, Distance], split: Split, known: dict[str, np.ndarray]) -> None:
        """Compute and store the distances of the items after the first `count`, which are known."""
        batches = batches_of(split, self.engine.device, self.batch_size, count)
        together = split.pixels * max(map(len, batches)) * self.ranks.world
        size = -(-PART // together) * self.ranks.world
        for start in range(0, len(batches), size):
            part = batches[start : start + size]
            able = self._able(distances, split)
            if not able:
                return
            computed, faults = compute_distances(able, split, self.engine.device, part, self.ranks)
            for label, fault in faults.items():
                self._fail(label, split, fault)
            for label, values in computed.items() if self.ranks.first else ():
                known[label] = np.concatenate([known[label], values], axis=1) if label in known else values
                self.store.add(label, distances[label].identity, split, known[label], sum(map(len, part)))
        for label in self._able(distances, split):
            self.computed += 1
            if self.ranks.first:
                names = protocol_of(split).distances
                self.distances[label][split.name] = dict(zip(names, known[label], strict=True))

    def _fail(self, label: str, split: Split, fault: str) -> None:
        protocol = protocol_of(split)
        reason = protocol.reason([split], fault)
        if protocol.one_by_one:
            self.failed[label][split.name] = fault
        else:
            self.not_scored[label][protocol.kind] = reason
        if self.ranks.first:
            log.warning("%s %s", label, reason)


def build_methods(
    methods: Sequence[Method], engine: Engine, ranks: Ranks
) -> tuple[dict[str, Distance | PrecomputedDistances], dict[str, str]]:
    """The methods that are ready to run, and the reasons why others are not, by label.

    Raises:
        UserError: if the first process has weights that this process does not have.
    """
    built: dict[str, Distance | PrecomputedDistances] = {}
    not_run: dict[str, str] = {}
    with ranks.first_before_others():  # the first may download weights
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
            raise UserError(f"{label}: {not_run[label]}: the first process can run it: give all the same weights")
    return built, not_run
