"""The evaluation: splits, distances (only those that are missing), scores, tables."""

import contextlib
import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from omegaconf import DictConfig

from lpips_repro.config import Dtype, EvaluateConfig, Paper, Show, parse
from lpips_repro.config.checks import check_writable
from lpips_repro.config.outputs import check_output
from lpips_repro.datasets.prepare import prepare
from lpips_repro.datasets.registry import dataset_of
from lpips_repro.datasets.split import Split, content_of
from lpips_repro.distributed import Ranks, started_ranks
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances.compute import Engine
from lpips_repro.evaluation.distances.results import Results
from lpips_repro.evaluation.distances.store import DistanceStore
from lpips_repro.evaluation.methods.finished_runs import on_these_data, runs_asked_for
from lpips_repro.evaluation.methods.method import Method, check_labels, in_order
from lpips_repro.evaluation.methods.published import list_methods, missing_weights
from lpips_repro.evaluation.methods.trained import trained_methods
from lpips_repro.evaluation.protocols import PROTOCOLS, Protocol, protocol_of
from lpips_repro.evaluation.tables.differences import FILE as DIFFERENCES
from lpips_repro.evaluation.tables.differences import check_baseline, differences_of, write_differences
from lpips_repro.evaluation.tables.kept_tables import keep_other_tables
from lpips_repro.evaluation.tables.paper_figures import read_later, read_paper
from lpips_repro.evaluation.tables.table import Bootstrap, Row, make_table
from lpips_repro.evaluation.tables.terminal_text import shown_table
from lpips_repro.evaluation.tables.writer import caption_of, remove_tables, write_tables
from lpips_repro.evaluation.usable_splits import usable_splits
from lpips_repro.files import written_together
from lpips_repro.files.locks import exclusive
from lpips_repro.logs import logged_in
from lpips_repro.metrics.compilation import why_not
from lpips_repro.progress import Progress
from lpips_repro.runs.device import choose_device
from lpips_repro.runs.record import record_run

log = logging.getLogger(__name__)

# Examples per image size: compiling takes up to ten seconds per network, and again for pairs.
COMPILE_FROM = 20_000


def evaluate(composed: DictConfig) -> None:
    """Write and print the tables of the composed settings (`configs/evaluate.yaml`).

    Raises:
        UserError: for a setting, a file of the dataset or a device that cannot be used.
    """
    with started_ranks() as ranks:
        with ranks.first_before_others():  # only the first process reports errors
            cfg = parse(composed, EvaluateConfig)
            check_output(Path(cfg.experiments) / cfg.name, "make eval-tables", "make paper")
            check_writable("experiments", Path(cfg.experiments) / cfg.name)
        log_file = Path(cfg.experiments) / cfg.name / "evaluate.log"
        with logged_in(log_file) if ranks.first else contextlib.nullcontext():
            _evaluate(cfg, composed, ranks)


def _evaluate(cfg: EvaluateConfig, composed: DictConfig, ranks: Ranks) -> None:
    with ranks.first_before_others():
        if cfg.threads is not None:
            torch.set_num_threads(cfg.threads)
        device = ranks.device(choose_device(cfg.device))
        own, runs = list_methods(cfg), runs_asked_for(cfg)
        methods = in_order(own + trained_methods(cfg, runs))
        check_labels(methods)
        check_baseline(cfg.baseline, methods)
        if not methods:
            raise UserError("metric=[] net=[]: nothing to evaluate: name at least one metric or network")
    with ranks.first_before_others():
        if ranks.first:
            _check_before_fetching(cfg)
        splits = prepare(cfg.data, "val")
        usable = {split.name for split in _verified(splits)} if ranks.first else set()
    usable = ranks.from_first(usable)
    splits = [split for split in splits if split.name in usable]
    runs = ranks.from_first(on_these_data(cfg, runs, splits) if ranks.first else runs)
    methods = in_order(own + trained_methods(cfg, runs))
    if not methods:
        raise UserError("no run was trained on these data, and no other row is selected: name a metric or network")
    if ranks.first:
        _warn(cfg, splits)
    store = DistanceStore(Path(cfg.experiments) / "distances")
    compiled = ranks.from_first(ranks.first and compiled_for(cfg, device, splits))
    engine = Engine(device, getattr(torch, cfg.dtype.value), compiled, features=Path(cfg.features))
    results = Results(engine, store, splits, cfg.batch_size, ranks)
    results.add(methods)
    if ranks.first:
        log.info(results.summary())
        with exclusive(Path(cfg.experiments) / cfg.name):
            _write_all(cfg, composed, splits, methods, results)


def _check_before_fetching(cfg: EvaluateConfig) -> None:
    """Check the published tables and list the networks without weights, before hours of downloading BAPPS."""
    if cfg.paper is Paper.later and not dataset_of(cfg.data).has_paper_figures:
        raise UserError(
            f"paper=later: the published figures are for BAPPS with data.resize=pil_bilinear, not for the settings of"
            f" data={cfg.data.name}: leave it out"
        )
    for protocol in PROTOCOLS.values():
        _paper(cfg, protocol)
        _later(cfg, protocol)
    if dataset_of(cfg.data).to_fetch(["val"]) and (missing := missing_weights(cfg)):
        reasons = [f"{name}: {reason}" for name, reason in missing.items()]
        lines = "\n  %s" * len(reasons)  # each on a line of its own
        log.warning(f"the rows of these networks will have no scores, since there are no weights:{lines}", *reasons)


def _paper(cfg: EvaluateConfig, protocol: Protocol) -> dict[tuple[str, str], dict[str, float]]:
    """Return the paper's figures if the data are BAPPS as the released loader reads it, else nothing."""
    return read_paper(Path(cfg.reference), protocol) if dataset_of(cfg.data).has_paper_figures else {}


def _later(cfg: EvaluateConfig, protocol: Protocol) -> list[Row]:
    return read_later(Path(cfg.reference), protocol) if cfg.paper is Paper.later else []


def compiled_for(cfg: EvaluateConfig, device: torch.device, splits: Sequence[Split]) -> bool:
    """Return whether networks and SSIM are compiled: as the settings say, or if the splits have enough examples."""
    if cfg.compile is not None:
        return cfg.compile
    examples = sum(map(len, splits)) // len({split.pixels for split in splits})  # of one size
    if device.type != "cpu" or examples < COMPILE_FROM:
        return False
    if reason := why_not(device):
        log.warning("compile=null: not compiled, although %d examples would be faster compiled: %s", examples, reason)
        return False
    log.info("compile=null: %d examples: networks and SSIM are compiled; compile=false turns this off", examples)
    return True


def _warn(cfg: EvaluateConfig, splits: Sequence[Split]) -> None:
    """Warn of what the scores on these data do not show."""
    for note in {split.card.get("note", "") for split in splits} - {""}:
        log.warning("%s: %s", cfg.data.root, note)
    if cfg.dtype is Dtype.bfloat16:
        for warning in {protocol_of(split).bfloat16 for split in splits} - {""}:
            log.warning(warning)


def _verified(splits: Sequence[Split]) -> list[Split]:
    """Check the digests of the splits and return those that have a score."""
    for split in Progress(splits, "checking digests", unit="split", leave=False):
        split.verify()
    return usable_splits(splits)


def _write_all(
    cfg: EvaluateConfig, composed: DictConfig, splits: Sequence[Split], methods: list[Method], results: Results
) -> None:
    folder = Path(cfg.experiments) / cfg.name
    chosen = {p: [split for split in splits if split.card["kind"] == p.kind] for p in PROTOCOLS.values()}
    asked = {protocol.of_splits(own): own for protocol, own in chosen.items() if own}
    files = {protocol.file for protocol in asked}
    there = keep_other_tables(folder, content_of(splits), *files)
    with written_together(folder) as new:
        record_run(new, composed)
        remove_tables(new, there - files)  # tables of an earlier run must not stay next to those of this one
        tables, differences = [], []
        for protocol, own in asked.items():
            bootstrap = Bootstrap(protocol, own, cfg.bootstrap, cfg.seed)
            _warn_of_redrawn(bootstrap)
            paper = _paper(cfg, protocol)
            caption = protocol.caption(own) or caption_of(own[0].card["observers"], bool(paper))
            table = make_table(methods, own, results, bootstrap, caption, paper, with_observers=True)
            tables.append(dataclasses.replace(table, later=_later(cfg, protocol)))
            differences += differences_of(tables[-1], bootstrap, cfg.baseline)
        written = [*write_tables(new, tables), new / DIFFERENCES]
        write_differences(new / DIFFERENCES, differences)
    print("\n".join(shown_table(table, folder, cfg.show is Show.all) for table in tables))
    print(f"written into {folder}: {', '.join(file.name for file in written)}\n")


def _warn_of_redrawn(bootstrap: Bootstrap) -> None:
    protocol = bootstrap.protocol
    for split, resamples in bootstrap.resamples.items():
        if resamples.redrawn:
            log.warning(
                "%s: %d of its %d resamples were drawn again, because their %s is undefined: %s",
                *(split, resamples.redrawn, bootstrap.size, protocol.score_name, protocol.why_undefined),
            )
