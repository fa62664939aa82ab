"""Scores of distances on the splits of a protocol, and their bootstrap intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lpips_repro.datasets.split import Split
from lpips_repro.evaluation.protocols import Distances, Protocol

# Ends of the 95 % percentile interval.
QUANTILES = (0.025, 0.975)

Scores = tuple[dict[str, float], dict[str, tuple[float, float]]]


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
