"""The triplets on which two methods disagree, or are against the votes (`make disagreements`)."""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

import torch
from omegaconf import DictConfig
from tabulate import tabulate

from lpips_repro.config import DisagreementsConfig, parse
from lpips_repro.config.checks import check_writable
from lpips_repro.config.outputs import check_output
from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.datasets.prepare import prepare
from lpips_repro.datasets.split import Split
from lpips_repro.errors import UserError, expected
from lpips_repro.evaluation.disagreement import NEITHER, Disagreement, disagreements_on
from lpips_repro.evaluation.distances.compute import Engine
from lpips_repro.evaluation.distances.results import Results
from lpips_repro.evaluation.distances.store import DistanceStore
from lpips_repro.evaluation.methods.find import find_method, is_outside
from lpips_repro.evaluation.methods.finished_runs import runs_asked_for
from lpips_repro.evaluation.methods.method import Method
from lpips_repro.evaluation.methods.published import list_methods
from lpips_repro.evaluation.methods.trained import trained_methods
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.evaluation.run import compiled_for
from lpips_repro.evaluation.tables.writer import judged_by
from lpips_repro.evaluation.usable_splits import usable_splits
from lpips_repro.files import write_picture, written_together
from lpips_repro.files.locks import exclusive
from lpips_repro.progress import Progress
from lpips_repro.report.triplet_sheet import triplet_sheet
from lpips_repro.report.triplet_table import write_triplets
from lpips_repro.runs.device import choose_device

log = logging.getLogger(__name__)


def write_disagreements(composed: DictConfig) -> None:
    """Write the triplets on which two methods disagree as a CSV, and the first ones as a picture; print their numbers.

    Distances are those of `make eval-tables`. Missing distances are computed and stored.

    Args:
        composed: composed settings (`configs/disagreements.yaml`).

    Raises:
        UserError: if a method or a split does not exist, or a method cannot be run.
    """
    cfg = parse(composed, DisagreementsConfig)
    folder = Path(cfg.experiments) / cfg.name
    check_output(folder)
    check_writable("experiments", folder)
    methods = _methods(cfg)
    if cfg.threads is not None:
        torch.set_num_threads(cfg.threads)
    device = choose_device(cfg.device)
    every = usable_splits(prepare(cfg.data, "val"))
    splits = _chosen(cfg, every)
    for split in Progress(splits, "checking digests", unit="split", leave=False):
        split.verify()
    compiled = compiled_for(cfg, device, every)  # as for the tables, which share these distances
    engine = Engine(device, getattr(torch, cfg.dtype.value), compiled, features=Path(cfg.features))
    results = Results(engine, DistanceStore(Path(cfg.experiments) / "distances"), splits, cfg.batch_size)
    results.add(methods)
    log.info(results.summary())
    for method in methods:
        if reason := results.reason(method, TWOAFC.kind):
            raise UserError(f"{method.label}: {reason}")
    found = [
        one
        for split in splits
        for one in disagreements_on(split, {each.label: results.distances[each.label][split.name] for each in methods})
    ]
    found.sort(key=lambda one: -one.strength)
    _write(folder, methods, splits, found, cfg.shown)


def _methods(cfg: DisagreementsConfig) -> list[Method]:
    """The two methods that the settings name."""
    labels = [label.strip() for label in (cfg.methods or "").split(",")]
    if len(labels) != 2 or not all(labels) or labels[0] == labels[1]:
        raise UserError(f"methods={cfg.methods or ''}: expected the labels of two methods: METHODS=alex-lin-v0.1,ssim")
    known = {one.label: one for one in (*list_methods(cfg), *trained_methods(cfg, runs_asked_for(cfg)))}
    found = []
    for label in labels:
        try:
            found.append(known[label] if label in known else find_method(label, download=cfg.download))
        except UserError as error:
            if is_outside(label):
                raise
            raise UserError(f"methods={cfg.methods}: {label}: no such method: {expected(label, known)}") from error
    if found[0].label == found[1].label:
        raise UserError(f"methods={cfg.methods}: both are {found[0].label}: expected two methods")
    return found


def _chosen(cfg: DisagreementsConfig, splits: Sequence[Split]) -> list[Split]:
    """The 2AFC splits that the settings name."""
    own = {split.card["split"]: split for split in splits if split.card["kind"] == TWOAFC.kind}
    if not own:
        raise UserError(f"data={cfg.data.name}: has no 2AFC triplets: choose other data")
    names = [*own] if cfg.splits == "all" else [name.strip() for name in cfg.splits.split(",")]
    for name in names:
        if name not in own:
            raise UserError(f"splits={cfg.splits}: {name}: no such 2AFC split: {expected(name, [*own, 'all'])}")
    return [own[name] for name in dict.fromkeys(names)]


def _write(
    folder: Path, methods: Sequence[Method], splits: Sequence[Split], found: Sequence[Disagreement], shown: int
) -> None:
    a, b = (method.label for method in methods)
    judged = judged_by(splits[0].card["observers"])
    stem = "-and-".join(re.sub(r"[^\w.-]", "_", label) for label in (a, b))
    table, picture = f"{stem}.csv", f"{stem}.png"
    headings = {a: f"{a} agrees more with the votes than {b}", b: f"{b} agrees more with the votes than {a}"}
    headings[NEITHER] = "both are against the votes"
    sections = {text: [one for one in found if one.better == who][:shown] for who, text in headings.items()}
    packed = {split.name: cast(PackedSplit, split) for split in splits}
    with exclusive(folder), written_together(folder) as new:
        write_triplets(new / table, found)
        write_picture(new / picture, triplet_sheet(f"{a} and {b}. {judged}", sections, packed))
    rows = [(split.name, len(split), *_counts(found, split.name, headings)) for split in splits]
    print(f"{judged}\n\n{tabulate(rows, ('split', 'triplets', *headings.values()), 'simple')}\n")
    print(f"written: {folder / table}, {folder / picture}")


def _counts(found: Iterable[Disagreement], split: str, of: Iterable[str]) -> list[int]:
    counts = Counter(one.better for one in found if one.split == split)
    return [counts[who] for who in of]
