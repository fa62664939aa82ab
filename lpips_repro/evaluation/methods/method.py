"""A method: a row of the tables before it has scores."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lpips_repro.config import SUPERVISIONS
from lpips_repro.config.outputs import check_names
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
        paper: (method, variant) of the row in the published tables to compare with, or None.
        build: makes the distance for an engine; raises UserError if weights are missing.
        origin: source of weights that are not the authors'; seed: seed of the network, if any; run: the training run
            of the weights; training: the settings of that run.
        seeds_of: common label of methods that differ only in the seed, if there may be others.
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
        """Name, variant and version, such as `alex-lin-v0.1`, with the seed if there are several; or the run's name."""
        if self.run or self.seeds_of:
            return self.run or f"{self.seeds_of}-seed{self.seed}"
        return "-".join(filter(None, (self.name, self.variant, self.version and f"v{self.version}")))


def in_order(methods: Iterable[Method]) -> list[Method]:
    """The methods sorted by group, as in the tables."""
    return sorted(methods, key=lambda method: GROUPS.index(method.group))


def check_labels(methods: Sequence[Method]) -> None:
    """Raise UserError if two methods have the same label, which identifies distances and rows."""
    for label, count in Counter(method.label for method in methods).items():
        if count > 1:
            raise UserError(f"{count} methods have the label {label}: give each metric and network its own name")
    check_names("labels of methods", [method.label for method in methods])


def by_seeds(methods: Sequence[Method]) -> list[list[Method]]:
    """The methods, grouped if they differ only in the seed."""
    groups: dict[str, list[Method]] = {}
    for method in methods:
        groups.setdefault(method.seeds_of or method.label, []).append(method)
    return list(groups.values())


def label_of(seeds: Sequence[Method]) -> str:
    """The label of the row of methods that differ only in the seed."""
    return seeds[0].label if len(seeds) == 1 else seeds[0].seeds_of


def paper_row(name: str | None, variant: str) -> tuple[str, str] | None:
    """The key of a row in the published tables, or None without a name."""
    return (name, variant) if name else None


def settings_of(
    seeds: Sequence[Method], identities: Sequence[Mapping[str, Any]], common: Mapping[str, Any]
) -> dict[str, Any]:
    """The settings of a row: everything that its distances depend on, the settings of training, and `common`.

    A value that differs between seeds becomes a list with one entry per seed.
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
