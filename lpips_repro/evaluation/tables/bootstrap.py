"""The scores of rows on resamples of the data, and the intervals that these give."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lpips_repro.datasets.split import Split
from lpips_repro.evaluation.protocols import Distances, Protocol

# Ends of the 95 % percentile interval.
QUANTILES = (0.025, 0.975)

Scores = tuple[dict[str, float], dict[str, tuple[float, float]]]
# By column, of each resample (B,).
Replicates = dict[str, np.ndarray]


class Bootstrap:
    """The resamples of every split, the same for all rows.

    Scores and intervals are those of the table, by column: `protocol.scale` times the protocol's. A column has none if
    the score of a split that it takes is NaN, or the split is missing.

    Args:
        protocol: of the scores; splits: those that it scores.
        replicates: number of resamples; seed: of their generator.

    Attributes:
        size: the number of resamples.
        votes: by split, the answers; names: of the splits, with kind and phase.
        resamples: by split.
    """

    def __init__(self, protocol: Protocol, splits: Sequence[Split], replicates: int, seed: int):
        self.protocol, self.size, self.seed = protocol, replicates, seed
        self.votes = {split.card["split"]: split.votes for split in splits}
        self.names = {split.card["split"]: split.name for split in splits}
        by_name = protocol.resamples(splits, replicates, seed)
        self.resamples = {split.card["split"]: by_name[split.name] for split in splits}

    def scores(self, runs: Sequence[Mapping[str, Distances]]) -> Scores:
        """Scores and 95 % intervals of distances by split, the mean over several runs."""
        return _with_intervals(*self.replicated(runs))

    def replicated(self, runs: Sequence[Mapping[str, Distances]]) -> tuple[dict[str, float], Replicates]:
        """Scores of distances by split, the mean over several runs, and those of every resample."""
        return self._by_column(*self._by_split(runs))

    def difference(self, runs: Sequence[Mapping[str, Distances]], others: Sequence[Mapping[str, Distances]]) -> Scores:
        """How much higher the scores of some runs are than those of others, on the same resamples."""
        (score, replicates), (other, of_others) = self._by_split(runs), self._by_split(others)
        found = self._by_column(
            {split: score[split] - other[split] for split in score},
            {split: replicates[split] - of_others[split] for split in replicates},
        )
        return _with_intervals(*found)

    def means(self, credits_: Mapping[str, np.ndarray]) -> Scores:
        """Scores and 95 % intervals of a score that is the mean of credits (N,), given by split."""
        return _with_intervals(*self.replicated_means(credits_))

    def replicated_means(self, credits_: Mapping[str, np.ndarray]) -> tuple[dict[str, float], Replicates]:
        """Scores that are the means of credits (N,), given by split, and those of every resample."""
        scores = {split: values.mean() for split, values in credits_.items()}
        return self._by_column(scores, {split: self.resamples[split].means(each) for split, each in credits_.items()})

    def credits(self, runs: Sequence[Mapping[str, Distances]]) -> dict[str, np.ndarray]:
        """What each example counts (N,), the mean over several runs, by split; empty if the score is no mean."""
        found = {}
        for split, votes in self.votes.items():
            of_runs = [self.protocol.credits(run[split], votes) for run in runs if split in run]
            known = [credits_ for credits_ in of_runs if credits_ is not None]
            if len(known) == len(runs):
                found[split] = np.mean(known, axis=0)
        return found

    def _by_split(self, runs: Sequence[Mapping[str, Distances]]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
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
    """The 95 % percentile intervals of replicates (B,) by column, of which some may be NaN."""
    ends = {column: np.nanquantile(values, QUANTILES) for column, values in replicates.items()}
    return {column: (float(low), float(high)) for column, (low, high) in ends.items()}


def _with_intervals(scores: dict[str, float], replicates: Replicates) -> Scores:
    return scores, intervals_of(replicates)
