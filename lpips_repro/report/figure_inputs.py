"""The inputs of the figures of a report. Each is read once, when a figure needs it."""

import functools
import logging
from pathlib import Path
from typing import cast

import numpy as np
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lpips_repro.config import ReportConfig
from lpips_repro.config.yaml_files import read_settings
from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.datasets.registry import dataset_of
from lpips_repro.datasets.split import Split
from lpips_repro.errors import UserError
from lpips_repro.evaluation.disagreement import Disagreement, disagreements_on
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.evaluation.tables.table import Row
from lpips_repro.report.all_pairs import AllPairs, Column, all_pairs
from lpips_repro.report.figures import Curves, Judged, Scores, read_curves, read_scores
from lpips_repro.report.sparsity import is_simulated
from lpips_repro.report.stored_distances import distances_of, warn_of_left_out
from lpips_repro.report.stored_tables import splits_of_tables

log = logging.getLogger(__name__)

# The methods of the paper's Figures 6 and 11. If they are missing, the first metric and the best network are compared.
COMPARED = ("ssim", "alex-bigan")
LOW_LEVEL = "low-level"

Pairs = dict[str, tuple[np.ndarray, np.ndarray]]  # d0 and d1 of all examples (N,), by split


class Inputs:
    """Tables, distances and runs on the data of a report. A property raises UserError if its input does not exist.

    Args:
        cfg: settings of the report.
    """

    def __init__(self, cfg: ReportConfig):
        self.cfg = cfg
        self.experiments = Path(cfg.experiments)
        self.splits_of = functools.cache(self._splits_of)

    @functools.cached_property
    def scores(self) -> Scores:
        """The scores of the tables."""
        return read_scores(self.tables)

    @property
    def tables(self) -> Path:
        """The folder of the tables."""
        return self.experiments / self.cfg.tables

    @functools.cached_property
    def splits(self) -> dict[str, PackedSplit]:
        """The packed 2AFC splits by name; UserError if the tables are of other data."""
        return {split.name: cast(PackedSplit, split) for split in self.splits_of(TWOAFC.kind)}

    def _splits_of(self, kind: str) -> list[Split]:
        """The splits of a kind that have a score; UserError if the tables are of other data."""
        return splits_of_tables(self.tables, self._packed, kind)

    @functools.cached_property
    def _packed(self) -> list[PackedSplit]:
        return dataset_of(self.cfg.data).find(["val"])

    @functools.cached_property
    def pairs(self) -> AllPairs:
        """The differences between all pairs of methods with stored distances."""
        return all_pairs(self.tables, self.splits_of, self.experiments)

    @functools.cached_property
    def stored(self) -> list[tuple[Row, Pairs]]:
        """The rows of methods with their stored distances on 2AFC splits; a warning names those without."""
        rows, splits = self.scores.methods(TWOAFC.name), [*self.splits.values()]
        found, unusable = [], {}
        for row in (row for row in rows if row.scores):
            try:
                distances = distances_of(row, splits, self.experiments)
            except UserError as error:
                unusable[row.label] = str(error)
                continue
            found.append((row, {split.name: _pair(distances[split.name]) for split in splits}))
        warn_of_left_out(unusable)
        return found

    @property
    def judged(self) -> list[Judged]:
        """The stored distances of each method, with the votes."""
        return [
            Judged(row.shown, row.group, {name: (*pair, self.splits[name].votes) for name, pair in pairs.items()})
            for row, pairs in self.stored
        ]

    def pairs_on(self, kind: str) -> Column:
        """Return all pairs in the last column of a protocol's table, which summarizes it.

        Raises:
            UserError: if no row of the table has stored distances.
        """
        found = [column for column in self.pairs.columns if column.kind == kind]
        if not found:
            raise UserError(f"{self.tables}: no row of its {kind} table has stored distances")
        return found[-1]

    def disagreements(self, average: str) -> list[Disagreement]:
        """Return the triplets that a metric and a network disagree on, the strongest disagreement first.

        Args:
            average: average of the 2AFC table whose splits are used, such as "distortions" or "all".

        Raises:
            UserError: if no metric or no network has stored distances.
        """
        one, other = self.compared()
        chosen = TWOAFC.averages.get(average, ()) if average != "all" else [*self.splits]
        splits = [split for name, split in self.splits.items() if {name, split.card["split"]} & {*chosen}]
        found = [
            triplet
            for split in splits
            for triplet in disagreements_on(
                split,
                {
                    each.label: dict(zip(TWOAFC.distances, each.splits[split.name], strict=False))
                    for each in (one, other)
                },
            )
        ]
        return sorted(found, key=lambda triplet: -triplet.strength)

    def compared(self) -> tuple[Judged, Judged]:
        """Return the metric and the network that the paper compares, or the first metric and the best network.

        Raises:
            UserError: if no metric or no network has stored distances.
        """
        score = {row.shown: row.scores.get("all", 0.0) for row in self.scores.methods(TWOAFC.name)}
        metrics = [one for one in self.judged if one.group == LOW_LEVEL]
        networks = [one for one in self.judged if one.group != LOW_LEVEL]
        if not metrics or not networks:
            raise UserError("expected a low-level metric and a network with stored distances: run `make eval-tables`")
        named = [next((one for one in self.judged if one.label.split()[0] == name), None) for name in COMPARED]
        return named[0] or metrics[0], named[1] or max(networks, key=lambda one: score[one.label])

    @functools.cached_property
    def curves(self) -> list[Curves]:
        """The training curves of the runs on these data, whether they are finished or not."""
        found = []
        for folder in self.runs:
            try:
                found.append(read_curves(folder))
            except UserError as error:  # such as no curve yet
                log.warning("%s", error)
        return found

    @property
    def observers_of_runs(self) -> str:
        """The observers of the runs: "simulated" if one was trained on simulated judgments, otherwise ""."""
        name = self.cfg.data.name
        return "simulated" if any(is_simulated(folder, name) for folder in self.runs) else ""

    @property
    def runs(self) -> list[Path]:
        """The folders of the runs on these data, whether they are finished or not."""
        files = [file for name in ("metrics.csv", "validation.csv") for file in self.experiments.glob(f"*/{name}")]
        return [folder for folder in sorted({file.parent for file in files}) if self._is_on_these_data(folder)]

    def _is_on_these_data(self, folder: Path) -> bool:
        try:
            return bool(OmegaConf.select(read_settings(folder / "config.yaml"), "data.name") == self.cfg.data.name)
        except (OSError, ValueError, OmegaConfBaseException):  # then its name decides
            return folder.name.startswith(f"{self.cfg.data.name}-")


def _pair(distances: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    d0, d1 = (distances[name] for name in TWOAFC.distances)
    return d0, d1
