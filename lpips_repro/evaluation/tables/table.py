"""Rows of tables, made from distances: scores, bootstrap intervals, the paper's figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lpips_repro.datasets.split import Split
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances.results import Results
from lpips_repro.evaluation.methods.method import Method, by_seeds, label_of, settings_of
from lpips_repro.evaluation.protocols import Distances, Protocol
from lpips_repro.evaluation.tables.notes import note_of
from lpips_repro.progress import Progress

# The ends of a 95 % percentile interval.
QUANTILES = (0.025, 0.975)

Scores = tuple[dict[str, float], dict[str, tuple[float, float]]]
Replicates = dict[str, np.ndarray]  # by column, the scores of all resamples (B,)


@dataclass
class Row:
    """A row of a table, with scores by column, empty if there are none.

    Attributes:
        interval: (low, high) ends of the 95 % bootstrap interval by column.
        paper: the published figures by column, empty if there are none.
        observers: human, simulated or unknown; note: why scores are missing, else "".
        settings: the settings that produced the row.
        spread: standard deviation over seeds by column; empty for a single seed.
        label: the row's name, unique in the table; by default method, variant and version.
        origin: the source of the weights, if not the authors; seed: of the network, or several, separated by spaces.
        run: the training run, or several, separated by spaces.
        replicates: the score of each resample (B,) by column.
        credits: the score of each example (N,) by split, if the split's score is their mean.
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
    settings: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    spread: dict[str, float] = field(default_factory=dict)
    label: str = ""
    origin: str = ""
    seed: str = ""
    run: str = ""
    replicates: dict[str, np.ndarray] = field(default_factory=dict, init=False, repr=False, compare=False)
    credits: dict[str, np.ndarray] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.label = self.label or "-".join(
            filter(None, (self.method, self.variant, self.version and f"v{self.version}"))
        )

    @property
    def shown(self) -> str:
        """Method, variant, version, origin and seeds, as shown to readers."""
        seeds = len(self.seed.split())
        words = f"{seeds} seeds" if seeds > 1 else f"seed {self.seed}" if seeds and self.origin else ""
        made = ", ".join(filter(None, (self.origin, words)))
        version = self.version and f"v{self.version}"
        return " ".join(filter(None, (self.method, self.variant.replace("_", " "), version, made and f"({made})")))


@dataclass(frozen=True)
class Table:
    """The table of a protocol.

    Attributes:
        columns: in order; counts: the number of examples of each.
        caption: the kind of observers and other remarks; with_paper: whether the paper's figures are shown, too.
        later: rows that others published later; shown, but not written to the CSV.
    """

    protocol: Protocol
    rows: Sequence[Row]
    columns: Sequence[str]
    counts: Mapping[str, int]
    caption: str
    with_paper: bool = False
    later: Sequence[Row] = ()

    def __post_init__(self) -> None:
        labels = [row.label for row in self.rows]
        if twice := next((label for label in labels if labels.count(label) > 1), None):
            raise UserError(f"{self.protocol.file}: two rows are called {twice}: give one of them another name")


class Bootstrap:
    """The resamples of all splits, the same for all rows.

    Scores and intervals are as in the table, by column: `protocol.scale` times the protocol's. A column has none if one
    of its splits is missing or has the score NaN.

    Args:
        protocol: of the scores; splits: of the protocol's kind of judgments.
        replicates: number of resamples; seed: of their generator.

    Attributes:
        size: the number of resamples; resamples: by split.
        votes: the observers' answers (N,) by split; names: full names by split.
    """

    def __init__(self, protocol: Protocol, splits: Sequence[Split], replicates: int, seed: int):
        self.protocol, self.size, self.seed = protocol, replicates, seed
        self.votes = {split.card["split"]: split.votes for split in splits}
        self.names = {split.card["split"]: split.name for split in splits}
        by_name = protocol.resamples(splits, replicates, seed)
        self.resamples = {split.card["split"]: by_name[split.name] for split in splits}

    def scores(self, runs: Sequence[Mapping[str, Distances]]) -> Scores:
        """Return scores and 95 % intervals, means over the runs; each run has distances by split."""
        scores, replicates = self.replicated(runs)
        return scores, intervals_of(replicates)

    def replicated(self, runs: Sequence[Mapping[str, Distances]]) -> tuple[dict[str, float], Replicates]:
        """Return scores and the scores of every resample, means over the runs; each run has distances by split."""
        return self._by_column(*self._by_split(runs))

    def replicated_means(self, credits_: Mapping[str, np.ndarray]) -> tuple[dict[str, float], Replicates]:
        """Return the scores that are means of credits (N,), given by split, and the scores of every resample."""
        scores = {split: values.mean() for split, values in credits_.items()}
        return self._by_column(scores, {split: self.resamples[split].means(each) for split, each in credits_.items()})

    def credits(self, runs: Sequence[Mapping[str, Distances]]) -> dict[str, np.ndarray]:
        """Return the score of each example (N,) by split, a mean over the runs; empty if the protocol has none."""
        found = {}
        for split, votes in self.votes.items():
            of_runs = [self.protocol.credits(run[split], votes) for run in runs if split in run]
            known = [credits_ for credits_ in of_runs if credits_ is not None]
            if len(known) == len(runs):
                found[split] = np.mean(known, axis=0)
        return found

    def _by_split(self, runs: Sequence[Mapping[str, Distances]]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return the score of each split and of each resample; a protocol's several scores are on the first axis."""
        score = self.protocol.score
        found, resampled = {}, {}
        for split, votes in self.votes.items():
            if all(split in run for run in runs):
                found[split] = np.mean([score(run[split], votes) for run in runs], axis=0)
                resampled[split] = np.mean([self.resamples[split].scores(run[split]) for run in runs], axis=0)
        for split in self.votes if found else ():
            for values in (found, resampled):
                values.setdefault(split, np.full_like(next(iter(values.values())), np.nan))
        return {split: found[split] for split in self.votes if found}, resampled

    def _by_column(
        self, scores: Mapping[str, Any], replicates: Mapping[str, np.ndarray]
    ) -> tuple[dict[str, float], Replicates]:
        if not scores:
            return {}, {}
        scale, add_averages = self.protocol.scale, self.protocol.add_averages
        scaled = {column: scale * float(score) for column, score in add_averages(scores).items() if not np.isnan(score)}
        resampled = {
            column: scale * values for column, values in add_averages(replicates).items() if not np.isnan(values).all()
        }
        return scaled, resampled


def intervals_of(replicates: Mapping[str, np.ndarray]) -> dict[str, tuple[float, float]]:
    """Return the 95 % percentile intervals of replicates (B,) by column; NaN values are ignored."""
    ends = {column: np.nanquantile(values, QUANTILES) for column, values in replicates.items()}
    return {column: (float(low), float(high)) for column, (low, high) in ends.items()}


def make_table(
    methods: Sequence[Method],
    splits: Sequence[Split],
    results: Results,
    bootstrap: Bootstrap,
    caption: str,
    paper: Mapping[tuple[str, str], dict[str, float]] | None = None,
    *,
    with_observers: bool = False,
) -> Table:
    """Return the table of a bootstrap's protocol: a row per method, with methods that differ only in seed in one row.

    Args:
        splits: of the protocol's kind of judgments; results: the methods' distances on them.
        caption: of the table; the protocol's remarks are added.
        paper: the paper's figures, see `read_paper`; with_observers: whether rows of the observers come first.
    """
    protocol, paper = bootstrap.protocol, paper or {}
    common = {
        "resize": " and ".join(sorted({split.card["resize"] for split in splits})),
        "bootstrap": {"replicates": bootstrap.size, "seed": bootstrap.seed},
        **protocol.settings(splits),
    }
    rows = observer_rows(splits, bootstrap, common) if with_observers else []
    for row in rows:
        row.paper = paper.get((row.method, ""), {})
    for seeds in Progress(by_seeds(methods), f"intervals of the {protocol.name} table", unit="row", leave=False):
        failed = next((reason for one in seeds if (reason := results.reason(one, protocol.kind))), "")
        row = method_row(seeds, splits[0].card["observers"], failed)
        if not failed:
            add_scores(row, [results.on(one, splits) for one in seeds], bootstrap)
            row.note = note_of(seeds, splits, results, row.scores, protocol)
            row.settings = settings_of(seeds, [results.identity[one.label] for one in seeds], common)
        row.paper = paper.get(seeds[0].paper, {})
        rows.append(row)
    counts = {split.card["split"]: len(split) for split in splits}
    columns = protocol.columns(tuple(counts))
    more = (protocol.remarks(splits), protocol.why_no_observers(splits) if with_observers else "")
    caption = " ".join(filter(None, (caption, *more)))
    return Table(protocol, rows, columns, protocol.counts(counts), caption, bool(paper))


def observer_rows(splits: Sequence[Split], bootstrap: Bootstrap, settings: Mapping[str, Any]) -> list[Row]:
    """Return the rows of the observers, such as one against the others; splits may lack scores."""
    observers, votes = splits[0].card["observers"], bootstrap.votes
    of_split = {split: bootstrap.protocol.observers(shares) for split, shares in votes.items()}
    rows = []
    for name in dict.fromkeys(name for credits_ in of_split.values() for name in credits_):
        who = observers if observers == "human" else f"{observers}-observer"
        shown = who if name == "observer" else name
        row = Row("observers", shown, observers=observers, settings=dict(settings))
        row.credits = {split: of_split[split].get(name, np.full(len(votes[split]), np.nan)) for split in votes}
        row.scores, row.replicates = bootstrap.replicated_means(row.credits)
        row.interval = intervals_of(row.replicates)
        rows.append(row)
    return rows


def method_row(seeds: Sequence[Method], observers: str, note: str = "") -> Row:
    """Return the row, without scores, of methods that differ only in seed; note: why it will have no scores, if so."""
    method = seeds[0]
    return Row(
        method.group,
        method.name,
        method.variant,
        method.version,
        method.supervision,
        observers=observers,
        note=note,
        label=label_of(seeds),
        origin=method.origin,
        seed=" ".join(str(one.seed) for one in seeds if one.seed is not None),
        run=" ".join(one.run for one in seeds if one.run),
    )


def add_scores(row: Row, runs: Sequence[Mapping[str, Distances]], bootstrap: Bootstrap) -> None:
    """Add scores to a row: means over the runs (one per seed) of distances by split, their intervals and spread."""
    row.scores, row.replicates = bootstrap.replicated(runs)
    row.interval = intervals_of(row.replicates)
    row.credits = bootstrap.credits(runs)
    if len(runs) > 1:
        singles = [bootstrap.scores([run])[0] for run in runs]
        row.spread = {column: float(np.std([single[column] for single in singles], ddof=1)) for column in row.scores}
