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
    redraw_without,
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
        origin: where calibrated weights come from, if not from the authors.
        spread: standard deviation over seeds by column, in percent; empty for a single one.
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
    origin: str = ""
    spread: dict[str, float] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Method, variant, version and origin, as they are shown."""
        version, origin = self.version and f"v{self.version}", self.origin and f"({self.origin})"
        return " ".join(filter(None, (self.method, self.variant.replace("_", " "), version, origin)))


class Bootstrap:
    """The resamples of every split, the same for all rows.

    Args:
        splits: the splits of one kind.
        replicates: number of resamples; seed: of their generator.

    Attributes:
        redrawn: by the name of a JND split, how many resamples were drawn again because nobody answered "same" to any
            of their pairs, which leaves the mAP undefined.
    """

    def __init__(self, splits: Sequence[PackedSplit], replicates: int, seed: int):
        self.kind = splits[0].card["kind"]
        self.counts: dict[str, np.ndarray] = {}
        self.redrawn: dict[str, int] = {}
        for split in splits:
            counts = bootstrap_counts(len(split), replicates, seed, split.name)
            if self.kind == "jnd" and (redrawn := redraw_without(counts, split.votes > 0, seed, split.name)):
                self.redrawn[split.name] = redrawn
            self.counts[split.card["split"]] = counts

    def means(self, credits_: Mapping[str, np.ndarray]) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
        """Scores and intervals, in percent, of a score that is the mean of credits (N,), given by split."""
        scores = {split: values.mean() for split, values in credits_.items()}
        replicates = {split: self.counts[split] @ values / len(values) for split, values in credits_.items()}
        return self._percent(scores, replicates)

    def jnd(self, runs: Sequence[Distances], same: Mapping[str, np.ndarray]):
        """Scores and intervals, in percent, of the JND mAP of distances, the mean over runs; returns as `means`.

        Args:
            runs: for each run the distances d (N,) by split.
            same: share who answered "same" (N,) by split.
        """
        scores, replicates = {}, {}
        for split, votes in same.items():
            distances = [run[split]["d"] for run in runs]
            scores[split] = np.mean([jnd_map(d, votes) for d in distances])
            counts = self.counts[split]
            replicates[split] = np.mean([jnd_map_replicates(d, votes, counts) for d in distances], axis=0)
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
    runs: Sequence[Mapping[str, Distances]],
    splits: Sequence[PackedSplit],
    bootstrap: Bootstrap,
    settings: str,
) -> Row:
    """The row of a method, from its distances by split; of a method trained with several seeds, the mean over them.

    Args:
        runs: the distances by split, once for each seed; once for a method that has none.
    """
    votes = {split.card["split"]: split.votes for split in splits}

    def row_of(chosen: Sequence[Mapping[str, Distances]]):
        if bootstrap.kind == "jnd":
            return bootstrap.jnd(chosen, votes)
        return bootstrap.means({split: _mean_credits(chosen, split, judge) for split, judge in votes.items()})

    row = empty_row(method, splits[0].card["observers"], "")
    row.scores, row.interval = row_of(runs)
    row.settings = settings
    if len(runs) > 1:
        singles = [row_of([run])[0] for run in runs]
        row.spread = {column: float(np.std([single[column] for single in singles], ddof=1)) for column in row.scores}
    return row


def difference(
    runs: Sequence[Mapping[str, Distances]],
    others: Sequence[Mapping[str, Distances]],
    splits: Sequence[PackedSplit],
    bootstrap: Bootstrap,
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """How much higher the 2AFC scores of a method are than another's, on the same resamples; returns as `means`.

    Args:
        runs, others: distances of both, as for `method_row`.
    """
    votes = {split.card["split"]: split.votes for split in splits}
    return bootstrap.means(
        {split: _mean_credits(runs, split, v) - _mean_credits(others, split, v) for split, v in votes.items()}
    )


def _mean_credits(runs: Sequence[Mapping[str, Distances]], split: str, judge: np.ndarray) -> np.ndarray:
    return np.mean([twoafc_credits(run[split]["d0"], run[split]["d1"], judge) for run in runs], axis=0)


def empty_row(method: Method, observers: str, note: str) -> Row:
    """The row of a method without scores, and the reason."""
    return Row(
        method.group,
        method.name,
        method.variant,
        method.version,
        method.supervision,
        observers=observers,
        note=note,
        origin=method.origin,
    )
