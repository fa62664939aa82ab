"""Scores of distances on the splits of a protocol, and their bootstrap intervals."""

from collections.abc import Mapping, Sequence

import numpy as np

from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.evaluation.protocols import Distances, Protocol
from lpips_repro.evaluation.scores import bootstrap_counts, redraw_without

# Ends of the 95 % percentile interval.
QUANTILES = (0.025, 0.975)

Scores = tuple[dict[str, float], dict[str, tuple[float, float]]]


class Bootstrap:
    """The resamples of every split, the same for all rows.

    Scores and intervals are those of the table, by column: `protocol.scale` times the protocol's.

    Args:
        protocol: of the scores; splits: those that it scores.
        replicates: number of resamples; seed: of their generator.

    Attributes:
        size: the number of resamples.
        votes: by split, the shares of answers.
        redrawn: by the name of a split, how many resamples were drawn again because they had no score.
    """

    def __init__(self, protocol: Protocol, splits: Sequence[PackedSplit], replicates: int, seed: int):
        self.protocol, self.size, self.seed = protocol, replicates, seed
        self.votes = {split.card["split"]: split.votes for split in splits}
        self.counts: dict[str, np.ndarray] = {}
        self.redrawn: dict[str, int] = {}
        for split in splits:
            counts = bootstrap_counts(len(split), replicates, seed, split.name)
            needed = protocol.needed(split.votes)
            if needed is not None and (redrawn := redraw_without(counts, needed, seed, split.name)):
                self.redrawn[split.name] = redrawn
            self.counts[split.card["split"]] = counts

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
        replicates = {split: self.counts[split] @ values / len(values) for split, values in credits_.items()}
        return self._of_table(scores, replicates)

    def _replicated(self, runs: Sequence[Mapping[str, Distances]]) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        score, replicates = self.protocol.score, self.protocol.replicates
        found = {
            split: float(np.mean([score(run[split], votes) for run in runs])) for split, votes in self.votes.items()
        }
        return found, {
            split: np.mean([replicates(run[split], votes, self.counts[split]) for run in runs], axis=0)
            for split, votes in self.votes.items()
        }

    def _of_table(self, scores: Mapping[str, float], replicates: Mapping[str, np.ndarray]) -> Scores:
        scale, add_averages = self.protocol.scale, self.protocol.add_averages
        ends = {column: scale * np.quantile(values, QUANTILES) for column, values in add_averages(replicates).items()}
        scaled = {column: scale * float(score) for column, score in add_averages(scores).items()}
        return scaled, {column: (float(low), float(high)) for column, (low, high) in ends.items()}
