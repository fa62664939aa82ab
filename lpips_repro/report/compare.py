"""Comparison of training runs (`make compare`): scores, settings, and the triplets on which their verdicts differ.

The first run is the baseline. Scores are computed from distances that the evaluation has stored. Differences, intervals
and p are computed as in `differences.csv`.
"""

import dataclasses
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from omegaconf import DictConfig
from PIL import Image

from lpips_repro.config import CompareConfig, parse
from lpips_repro.config.checks import check_writable
from lpips_repro.config.outputs import check_output
from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.datasets.registry import dataset_of
from lpips_repro.datasets.split import Split
from lpips_repro.errors import UserError
from lpips_repro.evaluation.disagreement import NEITHER, Disagreement, flips_on
from lpips_repro.evaluation.protocols import Protocol
from lpips_repro.evaluation.protocols.jnd import JND
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.evaluation.tables.differences import differences_of
from lpips_repro.evaluation.tables.table import Row, Table, add_scores
from lpips_repro.evaluation.tables.writer import judged_by
from lpips_repro.files import write_picture, written_together
from lpips_repro.files.locks import exclusive
from lpips_repro.report.compared_runs import ComparedRun, runs_to_compare
from lpips_repro.report.compared_scores import (
    ABSENT,
    ComparedScores,
    flip_table,
    score_table,
    settings_table,
    write_scores,
    write_settings,
)
from lpips_repro.report.stored_tables import bootstrap_of, splits_of_tables
from lpips_repro.report.triplet_sheet import triplet_sheet
from lpips_repro.report.triplet_table import write_triplets
from lpips_repro.runs.record import record_run

log = logging.getLogger(__name__)

OTHER_CHARACTERS = re.compile(r"[^\w.-]")  # replaced in file names


def compare_runs(composed: DictConfig) -> None:
    """Write and print a comparison of the runs that the composed settings (`configs/compare.yaml`) name.

    Raises:
        UserError: if a run does not exist, is not finished, has other data, or has no stored distances.
    """
    cfg = parse(composed, CompareConfig)
    folder = Path(cfg.experiments) / cfg.name
    check_output(folder, "make compare")
    check_writable("experiments", folder)
    runs = runs_to_compare(cfg.runs, Path(cfg.experiments))
    first, *others = [run.label for run in runs]
    rows = [run.row(TWOAFC) for run in runs]
    packed = dataset_of(runs[0].data).find(["val"])
    splits = splits_of_tables(runs[0].tables, packed, TWOAFC.kind)
    tables = [_scores(runs, rows, TWOAFC, splits), *_jnd(runs, packed)]
    flips = {run.label: _flips(runs[0], run, rows[0], row, splits) for run, row in zip(runs[1:], rows[1:], strict=True)}
    settings = _different_settings(runs)
    with exclusive(folder), written_together(folder) as new:
        for picture in folder.glob("flips-*.png"):
            (new / picture.name).touch()  # removed unless it is written below: see `written_together`
        record_run(new, composed)
        write_scores(new / "scores.csv", tables)
        write_settings(new / "settings.csv", [first, *others], settings)
        write_triplets(new / "flips.csv", [one for found in flips.values() for one in found])
        for number, (label, found) in enumerate(flips.items(), 2):
            names = {first: "run 1", label: f"run {number}"}
            write_picture(
                new / f"flips-{OTHER_CHARACTERS.sub('_', label)}.png", _sheet(names, found, splits, cfg.shown)
            )
        files = sorted(file.name for file in new.iterdir() if file.stat().st_size)
    print("\n".join(f"run {number}: {run.label}" for number, run in enumerate(runs, 1)))
    print(f"{judged_by(splits[0].card['observers'])}\n")
    parts = [*map(score_table, tables), settings_table(settings, len(runs))]
    parts += [flip_table(number, first, label, flips[label], splits) for number, label in enumerate(others, 2)]
    print("\n\n".join(parts))
    print(f"\nwritten into {folder}: {', '.join(files)}")


def _scores(
    runs: Sequence[ComparedRun], stored: Sequence[Row], protocol: Protocol, splits: Sequence[Split]
) -> ComparedScores:
    """The scores of the runs, and their differences from the first run."""
    bootstrap = bootstrap_of(stored[0], protocol, splits)
    rows = []
    for run, of in zip(runs, stored, strict=True):
        row = Row(of.group, of.method, of.variant, of.version, observers=of.observers, label=run.label)
        add_scores(row, [run.distances(of, splits)], bootstrap)
        rows.append(row)
    counts = {split.card["split"]: len(split) for split in splits}
    table = Table(protocol, rows, protocol.columns(tuple(counts)), protocol.counts(counts), "")
    return ComparedScores(table, differences_of(table, bootstrap, runs[0].label))


def _jnd(runs: Sequence[ComparedRun], packed: Sequence[Split]) -> list[ComparedScores]:
    """The JND scores of the runs, if there are JND judgments and all runs have a row."""
    try:
        splits = splits_of_tables(runs[0].tables, packed, JND.kind)
        return [_scores(runs, [run.row(JND) for run in runs], JND, splits)] if splits else []
    except UserError as error:
        log.warning("no JND scores: %s", error)
        return []


def _flips(
    first: ComparedRun, other: ComparedRun, row: Row, of_other: Row, splits: Sequence[Split]
) -> list[Disagreement]:
    """The triplets on which the verdicts of two runs differ, the strongest disagreement first."""
    both = {first.label: first.distances(row, splits), other.label: other.distances(of_other, splits)}
    found = [
        one
        for split in splits
        for one in flips_on(split, {label: of[split.card["split"]] for label, of in both.items()})
    ]
    return sorted(found, key=lambda one: -one.strength)


def _different_settings(runs: Sequence[ComparedRun]) -> dict[str, list[str]]:
    """The settings that differ between runs: the value of each run, by full name."""
    every = [run.settings for run in runs]
    found = {}
    for key in sorted({key for each in every for key in each}):
        values = [str(each[key]) if key in each else ABSENT for each in every]
        if len(set(values)) > 1:
            found[key] = values
    return found


def _sheet(names: Mapping[str, str], found: Sequence[Disagreement], splits: Sequence[Split], shown: int) -> Image.Image:
    """The first triplets of each kind as a picture; `names` has short names for the labels of runs."""
    headings = {label: f"{name} agrees more with the votes" for label, name in names.items()}
    headings[NEITHER] = "both agree equally"
    sections = {
        text: [_renamed(one, names) for one in found if one.better == who][:shown] for who, text in headings.items()
    }
    packed = {split.name: cast(PackedSplit, split) for split in splits}
    runs = ", ".join(f"{name}: {label}" for label, name in names.items())
    return triplet_sheet(f"{runs}. {judged_by(splits[0].card['observers'])}", sections, packed)


def _renamed(one: Disagreement, names: Mapping[str, str]) -> Disagreement:
    first, second = (dataclasses.replace(answer, label=names[answer.label]) for answer in one.answers)
    return dataclasses.replace(one, answers=(first, second))
