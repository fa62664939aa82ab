"""What a row of the tables is before it has scores."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lpips_repro.config import SUPERVISIONS
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances.compute import Distance, Engine
from lpips_repro.evaluation.distances.precomputed import PrecomputedDistances

# In the order of the tables.
GROUPS = ("low-level", *SUPERVISIONS, "lpips")


@dataclass(frozen=True)
class Method:
    """A row of the tables before it has scores.

    Attributes:
        group, name, variant, version, supervision: as in the tables.
        paper: (method, variant) of the row in the published tables to compare with, if any.
        build: makes the distance for an engine; raises UserError where weights are missing.
        origin: where weights come from, if not from the authors; seed: of the network, if it has one; run: the training
            run they come from; training: its settings.
        seeds_of: the label that all methods share that differ from it in the seed alone, if there may be others.
    """

    group: str
    name: str
    build: Callable[[Engine], Distance | PrecomputedDistances] = field(repr=False)
    variant: str = ""
    version: str = ""
    supervision: str = ""
    paper: tuple[str, str] | None = None
    origin: str = ""
    seed: int | None = None
    run: str = ""
    training: dict[str, Any] = field(default_factory=dict, repr=False)
    seeds_of: str = ""

    @property
    def label(self) -> str:
        """Name, variant and version, as in `alex-lin-v0.1`, with the seed if there are several; or the run's name."""
        if self.run or self.seeds_of:
            return self.run or f"{self.seeds_of}-seed{self.seed}"
        return "-".join(filter(None, (self.name, self.variant, self.version and f"v{self.version}")))


def in_order(methods: Iterable[Method]) -> list[Method]:
    """Methods by group, as in the tables."""
    return sorted(methods, key=lambda method: GROUPS.index(method.group))


def check_labels(methods: Sequence[Method]) -> None:
    """UserError if two methods have one label: distances and rows are known by it."""
    for label, count in Counter(method.label for method in methods).items():
        if count > 1:
            raise UserError(f"{count} methods are called {label}: give each metric and network another name")


def by_seeds(methods: Sequence[Method]) -> list[list[Method]]:
    """The methods, those together that are training runs with other seeds of one method."""
    groups: dict[str, list[Method]] = {}
    for method in methods:
        groups.setdefault(method.seeds_of or method.label, []).append(method)
    return list(groups.values())


def label_of(seeds: Sequence[Method]) -> str:
    """The label of the row of methods that differ in the seed alone."""
    return seeds[0].label if len(seeds) == 1 else seeds[0].seeds_of


def paper_row(name: str | None, variant: str) -> tuple[str, str] | None:
    """The key of a row in the published tables, if the settings name one."""
    return (name, variant) if name else None


def settings_of(
    seeds: Sequence[Method], identities: Sequence[Mapping[str, Any]], common: Mapping[str, Any]
) -> dict[str, Any]:
    """What made a row: what its distances depend on, the settings of training, and what is common to all rows.

    A value that differs between the seeds is a list, one entry per seed.
    """
    every = [
        {**identity, **({"training": one.training} if one.training else {})}
        for one, identity in zip(seeds, identities, strict=True)
    ]
    merged = {}
    for key in dict.fromkeys(key for each in every for key in each):
        values = [each.get(key) for each in every]
        merged[key] = values[0] if all(value == values[0] for value in values) else values
    return {key: value for key, value in merged.items() if value is not None} | dict(common)
