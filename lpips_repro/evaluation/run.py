"""The evaluation: packed splits, distances (only those that are missing), scores, tables."""

import contextlib
import logging
from pathlib import Path

import torch
from omegaconf import DictConfig

from lpips_repro.config import Dtype, EvaluateConfig, parse
from lpips_repro.config.checks import check_writable
from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.datasets.prepare import prepare
from lpips_repro.datasets.registry import dataset_of
from lpips_repro.distributed import Ranks, started_ranks
from lpips_repro.errors import UserError
from lpips_repro.evaluation.bootstrap import Bootstrap
from lpips_repro.evaluation.distances import Engine
from lpips_repro.evaluation.methods import Method, check_labels, in_order, list_methods, missing_weights
from lpips_repro.evaluation.other_data import describe_splits, keep_other_tables
from lpips_repro.evaluation.protocols import PROTOCOLS, Protocol, protocol_of
from lpips_repro.evaluation.reference import read_paper
from lpips_repro.evaluation.results import Results
from lpips_repro.evaluation.runs import on_these_data, runs_asked_for
from lpips_repro.evaluation.store import DistanceStore
from lpips_repro.evaluation.tables import Table, make_table
from lpips_repro.evaluation.tid2013 import evaluate_tid2013
from lpips_repro.evaluation.trained import trained_methods
from lpips_repro.evaluation.write import caption_of, remove_tables, terminal_table, write_tables
from lpips_repro.files import written_together
from lpips_repro.logs import logged_in
from lpips_repro.metrics.compilation import why_not
from lpips_repro.progress import Progress
from lpips_repro.runs.record import choose_device, record_run

log = logging.getLogger(__name__)

# Examples at once: metrics split them further where a CPU's cache is smaller; a GPU wants many.
BATCH_SIZE = {"cpu": 50, "cuda": 500}
# Examples in a table: a compilation takes up to ten seconds for each network, and again for pairs.
COMPILE_FROM = 20_000


def evaluate(composed: DictConfig) -> None:
    """Write and print the tables that the composed settings (`configs/evaluate.yaml`) ask for.

    Raises:
        UserError: for a setting, a file of the dataset or a device that cannot be used.
    """
    with started_ranks() as ranks:
        with ranks.first_before_others():  # what is wrong, the first says alone
            cfg = parse(composed, EvaluateConfig)
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
        if not methods:
            raise UserError("metric=[] net=[]: nothing to evaluate: name at least one of them")
    if dataset_of(cfg.data).has_whole_images:
        evaluate_tid2013(cfg, composed, methods, device, ranks)
        return
    with ranks.first_before_others():
        if ranks.first:
            _check_before_fetching(cfg)
        splits = prepare(cfg.data, "val")
        usable = {split.name for split in _usable(splits)} if ranks.first else set()
    usable = ranks.from_first(usable)
    splits = [split for split in splits if split.name in usable]
    runs = ranks.from_first(on_these_data(cfg, runs, splits) if ranks.first else runs)
    methods = in_order(own + trained_methods(cfg, runs))
    if not methods:
        raise UserError("no run is trained on these data, and no other row is asked for: name a metric or network")
    if ranks.first and cfg.dtype is Dtype.bfloat16:
        for warning in {protocol_of(split).bfloat16 for split in splits} - {""}:
            log.warning(warning)
    store = DistanceStore(Path(cfg.experiments) / "distances")
    compiled = ranks.from_first(ranks.first and _compiled(cfg, device, sum(map(len, splits))))
    engine = Engine(device, getattr(torch, cfg.dtype.value), compiled, features=Path(cfg.features))
    results = Results(engine, store, splits, cfg.batch_size or BATCH_SIZE[device.type], ranks)
    results.add(methods)
    if ranks.first:
        log.info(results.summary())
        _write_all(cfg, composed, splits, methods, results)


def _check_before_fetching(cfg: EvaluateConfig) -> None:
    """Read the published tables, and name the networks without weights, before hours of fetching BAPPS."""
    for protocol in PROTOCOLS.values():
        _paper(cfg, protocol)
    if dataset_of(cfg.data).to_fetch(["val"]) and (missing := missing_weights(cfg)):
        reasons = "".join(f"\n  {name}: {reason}" for name, reason in missing.items())
        log.warning("the rows of these networks will have no scores, for they have no weights:%s", reasons)


def _paper(cfg: EvaluateConfig, protocol: Protocol) -> dict[tuple[str, str], dict[str, float]]:
    """The paper's figures, which belong to BAPPS as the released loader reads it; of other data none."""
    return read_paper(Path(cfg.reference), protocol) if dataset_of(cfg.data).has_paper_figures else {}


def _compiled(cfg: EvaluateConfig, device: torch.device, examples: int) -> bool:
    if cfg.compile is not None:
        return cfg.compile
    if device.type != "cpu" or examples < COMPILE_FROM:
        return False
    if reason := why_not(device):
        log.warning("compile=null: not compiled, though with %d examples it would pay: %s", examples, reason)
        return False
    log.info("compile=null: %d examples, so that networks and SSIM are compiled; compile=false leaves it", examples)
    return True


def _usable(splits: list[PackedSplit]) -> list[PackedSplit]:
    """The splits that have a score; what they hold is as it was packed."""
    usable = []
    for split in Progress(splits, "checking digests", unit="split", leave=False):
        split.verify()
        protocol = protocol_of(split)
        needed = protocol.needed(split.votes)
        if needed is not None and not needed.any():
            reason = f"{protocol.needs}, so its {protocol.score_name} is undefined"
            log.warning("%s: %s: left out", split.name, reason)
        else:
            usable.append(split)
    if not usable:
        raise UserError(f"no split has a score: {protocol.needs} of any")
    return usable


def _write_all(
    cfg: EvaluateConfig, composed: DictConfig, splits: list[PackedSplit], methods: list[Method], results: Results
) -> None:
    folder = Path(cfg.experiments) / cfg.name
    keep_other_tables(folder, describe_splits(splits))
    tables = []
    with written_together(folder) as new:
        record_run(new, composed)
        for protocol in PROTOCOLS.values():
            chosen = [split for split in splits if split.card["kind"] == protocol.kind]
            if chosen:
                tables.append(_table(cfg, protocol, chosen, methods, results))
            else:
                remove_tables(new, protocol)  # none of another run may stay next to those of this one
        files = write_tables(new, tables)
    print("\n".join(map(terminal_table, tables)))
    print(f"written: {', '.join(str(folder / file.name) for file in files)}\n")


def _table(
    cfg: EvaluateConfig, protocol: Protocol, splits: list[PackedSplit], methods: list[Method], results: Results
) -> Table:
    bootstrap = Bootstrap(protocol, splits, cfg.bootstrap, cfg.seed)
    for split, count in bootstrap.redrawn.items():
        log.warning(
            "%s: %d of its %d resamples were drawn again: %s of them, so that their %s is undefined",
            *(split, count, cfg.bootstrap, protocol.needs, protocol.score_name),
        )
    paper = _paper(cfg, protocol)
    caption = caption_of(splits[0].card["observers"], bool(paper))
    return make_table(methods, splits, results, bootstrap, caption, paper, with_observers=True)
