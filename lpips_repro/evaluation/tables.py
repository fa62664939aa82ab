"""From distances to the rows of `twoafc.csv` and `jnd.csv`: scores, bootstrap intervals, the paper's figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.evaluation.columns import add_averages
from lpips_repro.evaluation.methods import Method
from lpips_repro.evaluation.scores import (
    bootstrap_counts,
    human_credits,
    jnd_map,
    jnd_map_replicates,
    oracle_credits,
    twoafc_credits,
)

# Ends of the 95 % percentile interval.
QUANTILES = (0.025, 0.975)

Distances = Mapping[str, np.ndarray]  # d0 and d1, or d


@dataclass
class Row:
    """A row of a table; scores in percent by column, empty where the row could not be made.

    Attributes:
        interval: (low, high) ends of the 95 % bootstrap interval by column.
        paper: the published figures by column, empty where there are none.
        settings: what made the row, as key=value words; note: why it could not be made, else "".
    """

    group: str
    method: str
    variant: str = ""
    version: str = ""
    supervision: str = ""
    scores: dict[str, float] = field(default_factory=dict)
    interval: dict[str, tuple[float, float]] = field(default_factory=dict)
    paper: dict[str, float] = field(default_factory=dict)
    observers: str = ""
    settings: str = ""
    note: str = ""

    @property
    def label(self) -> str:
        """Method, variant and version, as they are shown."""
        return " ".join(
            filter(None, (self.method, self.variant.replace("_", " "), self.version and f"v{self.version}"))
        )


class Bootstrap:
    """The resamples of every split, the same for all rows.

    Args:
        splits: the splits of one kind.
        replicates: number of resamples; seed: of their generator.
    """

    def __init__(self, splits: Sequence[PackedSplit], replicates: int, seed: int):
        self.kind = splits[0].card["kind"]
        self.counts = {s.card["split"]: bootstrap_counts(len(s), replicates, seed, s.name) for s in splits}

    def means(self, credits_: Mapping[str, np.ndarray]) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
        """Scores and intervals, in percent, of a score that is the mean of credits (N,), given by split."""
        scores = {split: values.mean() for split, values in credits_.items()}
        replicates = {split: self.counts[split] @ values / len(values) for split, values in credits_.items()}
        return self._percent(scores, replicates)

    def jnd(self, distances: Mapping[str, np.ndarray], same: Mapping[str, np.ndarray]):
        """Scores and intervals, in percent, of the JND mAP of distances (N,), given by split; returns as `means`."""
        scores = {split: jnd_map(d, same[split]) for split, d in distances.items()}
        replicates = {split: jnd_map_replicates(d, same[split], self.counts[split]) for split, d in distances.items()}
        return self._percent(scores, replicates)

    def _percent(self, scores: Mapping[str, float], replicates: Mapping[str, np.ndarray]):
        ends = {k: 100 * np.quantile(v, QUANTILES) for k, v in add_averages(self.kind, replicates).items()}
        percent = {column: 100 * float(value) for column, value in add_averages(self.kind, scores).items()}
        return percent, {column: (float(low), float(high)) for column, (low, high) in ends.items()}


def observer_rows(splits: Sequence[PackedSplit], bootstrap: Bootstrap, settings: str) -> list[Row]:
    """The rows of the observers themselves: one against the others, and the oracle that sides with the majority."""
    judges = {split.card["split"]: split.votes for split in splits}
    observers = splits[0].card["observers"]
    rows = []
    for name, credit in (
        (observers if observers == "human" else f"{observers}-observer", human_credits),
        ("oracle", oracle_credits),
    ):
        scores, interval = bootstrap.means({split: credit(judge) for split, judge in judges.items()})
        rows.append(Row("observers", name, scores=scores, interval=interval, observers=observers, settings=settings))
    return rows


def method_row(
    method: Method,
    distances: Mapping[str, Distances],
    splits: Sequence[PackedSplit],
    bootstrap: Bootstrap,
    settings: str,
) -> Row:
    """The row of a method, from its distances by split."""
    votes = {split.card["split"]: split.votes for split in splits}
    if bootstrap.kind == "2afc":
        scores, interval = bootstrap.means(
            {name: twoafc_credits(d["d0"], d["d1"], votes[name]) for name, d in distances.items()}
        )
    else:
        scores, interval = bootstrap.jnd({name: d["d"] for name, d in distances.items()}, votes)
    row = empty_row(method, splits[0].card["observers"], "")
    row.scores, row.interval, row.settings = scores, interval, settings
    return row


def empty_row(method: Method, observers: str, note: str) -> Row:
    """The row of a method without scores, and the reason."""
    return Row(
        method.group, method.name, method.variant, method.version, method.supervision, observers=observers, note=note
    )
