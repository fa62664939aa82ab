"""From distances to the rows of a table: scores, bootstrap intervals, the paper's figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lpips_repro.datasets.split import Split
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances.results import Results
from lpips_repro.evaluation.methods.method import Method, by_seeds, settings_of
from lpips_repro.evaluation.protocols import Distances, Protocol
from lpips_repro.progress import Progress

# Ends of the 95 % percentile interval.
QUANTILES = (0.025, 0.975)

Scores = tuple[dict[str, float], dict[str, tuple[float, float]]]


@dataclass
class Row:
    """A row of a table; scores by column, empty if the row could not be made.

    Attributes:
        interval: (low, high) ends of the 95 % bootstrap interval by column.
        paper: the published figures by column, empty if there are none.
        observers: who judged; note: why the row could not be made, else "".
        settings: what made the row.
        spread: standard deviation over seeds by column; empty for a single one.
        label: the row's name, which no other row of the table has; by default method, variant and version.
        origin: where weights come from, if not from the authors; seed: of the network, or several with spaces between.
        run: the training run, or several with spaces between.
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

    def __post_init__(self) -> None:
        self.label = self.label or "-".join(
            filter(None, (self.method, self.variant, self.version and f"v{self.version}"))
        )

    @property
    def shown(self) -> str:
        """Method, variant, version, origin and seeds, as people read them."""
        seeds = len(self.seed.split())
        words = f"{seeds} seeds" if seeds > 1 else f"seed {self.seed}" if seeds and self.origin else ""
        made = ", ".join(filter(None, (self.origin, words)))
        version = self.version and f"v{self.version}"
        return " ".join(filter(None, (self.method, self.variant.replace("_", " "), version, made and f"({made})")))


@dataclass(frozen=True)
class Table:
    """The rows of a protocol.

    Attributes:
        columns: in order; counts: how many examples each has.
        caption: who judged, and the like; with_paper: whether the published figures are shown, too.
    """

    protocol: Protocol
    rows: Sequence[Row]
    columns: Sequence[str]
    counts: Mapping[str, int]
    caption: str
    with_paper: bool = False

    def __post_init__(self) -> None:
        labels = [row.label for row in self.rows]
        if twice := next((label for label in labels if labels.count(label) > 1), None):
            raise UserError(f"{self.protocol.file}: two rows are called {twice}: give one of them another name")


class Bootstrap:
    """The resamples of every split, the same for all rows.

    Scores and intervals are those of the table, by column: `protocol.scale` times the protocol's. A column has none if
    the score of a split that it takes is NaN, or the split is missing.

    Args:
        protocol: of the scores; splits: those that it scores.
        replicates: number of resamples; seed: of their generator.

    Attributes:
        size: the number of resamples.
        votes: by split, the answers.
        resamples: by split.
    """

    def __init__(self, protocol: Protocol, splits: Sequence[Split], replicates: int, seed: int):
        self.protocol, self.size, self.seed = protocol, replicates, seed
        self.votes = {split.card["split"]: split.votes for split in splits}
        by_name = protocol.resamples(splits, replicates, seed)
        self.resamples = {split.card["split"]: by_name[split.name] for split in splits}

    def scores(self, runs: Sequence[Mapping[str, Distances]]) -> Scores:
        """Scores and 95 % intervals of distances by split, the mean over several runs."""
        return self._of_table(*self._replicated(runs))

    def difference(self, runs: Sequence[Mapping[str, Distances]], others: Sequence[Mapping[str, Distances]]) -> Scores:
        """How much higher the scores of some runs are than those of others, on the same resamples."""
        (score, replicates), (other, of_others) = self._replicated(runs), self._replicated(others)
        return self._of_table(
            {split: score[split] - other[split] for split in score},
            {split: replicates[split] - of_others[split] for split in replicates},
        )

    def means(self, credits_: Mapping[str, np.ndarray]) -> Scores:
        """Scores and 95 % intervals of a score that is the mean of credits (N,), given by split."""
        scores = {split: values.mean() for split, values in credits_.items()}
        return self._of_table(scores, {split: self.resamples[split].means(each) for split, each in credits_.items()})

    def _replicated(self, runs: Sequence[Mapping[str, Distances]]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """By split the score, and that of every resample; of a protocol with several scores along the first axis."""
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

    def _of_table(self, scores: Mapping[str, Any], replicates: Mapping[str, np.ndarray]) -> Scores:
        if not scores:
            return {}, {}
        scale, add_averages = self.protocol.scale, self.protocol.add_averages
        scaled = {column: scale * float(score) for column, score in add_averages(scores).items() if not np.isnan(score)}
        resampled = {
            column: values for column, values in add_averages(replicates).items() if not np.isnan(values).all()
        }
        ends = {column: scale * np.nanquantile(values, QUANTILES) for column, values in resampled.items()}
        return scaled, {column: (float(low), float(high)) for column, (low, high) in ends.items()}


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
    """The table of the protocol of a bootstrap: a row per method, of those that differ in the seed alone together.

    Args:
        splits: what the protocol scores; results: distances of the methods on these.
        caption: of the table; what the protocol has to say is added.
        paper: the published figures, see `read_paper`; with_observers: whether rows of the observers come first.
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
    """The rows of the observers themselves, such as one against the others; without scores on splits that have none."""
    observers, votes = splits[0].card["observers"], bootstrap.votes
    of_split = {split: bootstrap.protocol.observers(shares) for split, shares in votes.items()}
    rows = []
    for name in dict.fromkeys(name for credits_ in of_split.values() for name in credits_):
        none = {split: np.full(len(shares), np.nan) for split, shares in votes.items()}
        scores, interval = bootstrap.means({split: of_split[split].get(name, none[split]) for split in votes})
        who = observers if observers == "human" else f"{observers}-observer"
        shown = who if name == "observer" else name
        row = Row("observers", shown, scores=scores, interval=interval, observers=observers, settings=dict(settings))
        rows.append(row)
    return rows


def method_row(seeds: Sequence[Method], observers: str, note: str = "") -> Row:
    """The row of methods that differ in the seed alone, without scores; note: the reason, if it will have none."""
    method = seeds[0]
    return Row(
        method.group,
        method.name,
        method.variant,
        method.version,
        method.supervision,
        observers=observers,
        note=note,
        label=method.label if len(seeds) == 1 else method.seeds_of,
        origin=method.origin,
        seed=" ".join(str(one.seed) for one in seeds if one.seed is not None),
        run=" ".join(one.run for one in seeds if one.run),
    )


def add_scores(row: Row, runs: Sequence[Mapping[str, Distances]], bootstrap: Bootstrap) -> None:
    """Add the scores of distances by split, given once per seed: their mean over seeds, its interval, their spread."""
    row.scores, row.interval = bootstrap.scores(runs)
    if len(runs) > 1:
        singles = [bootstrap.scores([run])[0] for run in runs]
        row.spread = {column: float(np.std([single[column] for single in singles], ddof=1)) for column in row.scores}


def note_of(
    seeds: Sequence[Method],
    splits: Sequence[Split],
    results: Results,
    scores: Mapping[str, float],
    protocol: Protocol,
) -> str:
    """Why the row of some methods has no scores on some of the splits, each reason once; "" if it has them on all."""
    reasons: dict[str, list[Split]] = {}
    for split in splits:
        faults = [results.failed.get(one.label, {}).get(split.name) for one in seeds]
        fault = next((fault for fault in faults if fault), "")
        is_scored = scores.keys() & protocol.columns([split.card["split"]])
        if fault or not is_scored:
            reasons.setdefault(fault or protocol.undefined, []).append(split)
    return "; ".join(protocol.reason(where, fault) for fault, where in reasons.items())
