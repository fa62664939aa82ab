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
from lpips_repro.evaluation.columns import columns_of
from lpips_repro.evaluation.distances import Engine
from lpips_repro.evaluation.methods import Method, check_labels, in_order, list_methods, missing_weights
from lpips_repro.evaluation.other_data import describe_splits, keep_other_tables
from lpips_repro.evaluation.reference import read_paper
from lpips_repro.evaluation.results import Results
from lpips_repro.evaluation.runs import on_these_data, runs_asked_for
from lpips_repro.evaluation.store import DistanceStore
from lpips_repro.evaluation.tables import Bootstrap, Row, empty_row, method_row, observer_rows
from lpips_repro.evaluation.tid2013 import evaluate_tid2013
from lpips_repro.evaluation.trained import by_seeds, origin_of_seeds, trained_methods
from lpips_repro.evaluation.write import remove_tables, terminal_table, write_tables
from lpips_repro.files import written_together
from lpips_repro.logs import logged_in
from lpips_repro.metrics.compilation import why_not
from lpips_repro.progress import Progress
from lpips_repro.run_record import choose_device, record_run

log = logging.getLogger(__name__)

# Examples at once: metrics split them further where a CPU's cache is smaller; a GPU wants many.
BATCH_SIZE = {"cpu": 50, "cuda": 500}
# Examples in a table: a compilation takes up to ten seconds for each network, and again for pairs.
COMPILE_FROM = 20_000
# Measured: see "The tables" in the README.
NEAR_PAIRS = (
    "dtype=bfloat16: the distances of images that are nearly the same, as in JND pairs, are not exact in it: at half a"
    " grey level of noise they are 12 to 17 % longer, and 10 to 12 % of the comparisons change: use dtype=float32 for"
    " the JND table"
)


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
        _check(splits if ranks.first else [])
    runs = ranks.from_first(on_these_data(cfg, runs, splits) if ranks.first else runs)
    methods = in_order(own + trained_methods(cfg, runs))
    if not methods:
        raise UserError("no run is trained on these data, and no other row is asked for: name a metric or network")
    if ranks.first and cfg.dtype is Dtype.bfloat16 and any(split.card["kind"] == "jnd" for split in splits):
        log.warning(NEAR_PAIRS)
    store = DistanceStore(Path(cfg.experiments) / "distances")
    compiled = ranks.from_first(ranks.first and _compiled(cfg, device, sum(map(len, splits))))
    engine = Engine(device, getattr(torch, cfg.dtype.value), compiled)
    results = Results(engine, store, splits, cfg.batch_size or BATCH_SIZE[device.type], ranks)
    results.add(methods)
    if ranks.first:
        log.info(results.summary())
        _write_all(cfg, composed, splits, methods, results)


def _check_before_fetching(cfg: EvaluateConfig) -> None:
    """Read the published tables, and name the networks without weights, before hours of fetching BAPPS."""
    for kind in ("2afc", "jnd"):
        _paper(cfg, kind)
    if dataset_of(cfg.data).to_fetch(["val"]) and (missing := missing_weights(cfg)):
        reasons = "".join(f"\n  {name}: {reason}" for name, reason in missing.items())
        log.warning("the rows of these networks will have no scores, for they have no weights:%s", reasons)


def _paper(cfg: EvaluateConfig, kind: str) -> dict[tuple[str, str], dict[str, float]]:
    """The paper's figures, which belong to BAPPS as the released loader reads it; of other data none."""
    return read_paper(Path(cfg.reference), kind) if dataset_of(cfg.data).has_paper_figures else {}


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


def _check(splits: list[PackedSplit]) -> None:
    for split in Progress(splits, "checking digests", unit="split", leave=False):
        split.verify()
        if split.card["kind"] == "jnd" and not split.votes.any():
            raise UserError(f"{split.name}: nobody answered 'same' to any pair, so its mAP is undefined: take it away")


def _write_all(
    cfg: EvaluateConfig, composed: DictConfig, splits: list[PackedSplit], methods: list[Method], results: Results
) -> None:
    folder = Path(cfg.experiments) / cfg.name
    keep_other_tables(folder, describe_splits(splits))
    texts = []
    with written_together(folder) as new:
        record_run(new, composed)
        for kind in ("2afc", "jnd"):
            chosen = [split for split in splits if split.card["kind"] == kind]
            if chosen:
                text, files = _write(cfg, new, kind, chosen, methods, results)
                texts.append(f"{text}\nwritten: {', '.join(str(folder / file.name) for file in files)}\n")
            else:
                remove_tables(new, kind)  # none of another run may stay next to those of this one
    print("\n".join(texts))


def _write(
    cfg: EvaluateConfig, folder: Path, kind: str, splits: list[PackedSplit], methods: list[Method], results: Results
) -> tuple[str, list[Path]]:
    """Write the tables of a kind; returns the one for the terminal, and the files."""
    resize = " and ".join(sorted({split.card["resize"] for split in splits}))
    common = f"resize={resize} bootstrap={cfg.bootstrap} seed={cfg.seed}"
    paper = _paper(cfg, kind)
    bootstrap = Bootstrap(splits, cfg.bootstrap, cfg.seed)
    for split, count in bootstrap.redrawn.items():
        log.warning(
            "%s: %d of its %d resamples were drawn again: nobody answered 'same' to any pair of them, so that their"
            " mAP is undefined",
            split,
            count,
            cfg.bootstrap,
        )
    rows: list[Row] = observer_rows(splits, bootstrap, common) if kind == "2afc" else []
    for row in rows:
        row.paper = paper.get((row.method, ""), {})
    for seeds in Progress(by_seeds(methods), f"intervals of the {kind} table", unit="row", leave=False):
        method = seeds[0]
        failed = next((results.not_run[one.label] for one in seeds if one.label in results.not_run), None)
        if failed:
            row = empty_row(method, splits[0].card["observers"], failed)
        else:
            words = "; ".join(results.words(one) for one in seeds)
            row = method_row(method, [results.on(one, splits) for one in seeds], splits, bootstrap, f"{words} {common}")
            row.origin = origin_of_seeds([one.origin for one in seeds])
        row.paper = paper.get(method.paper, {})
        rows.append(row)
    columns = columns_of(kind, [split.card["split"] for split in splits])
    paths = write_tables(folder, kind, rows, columns, bool(paper))
    return terminal_table(kind, rows, columns, bool(paper)), paths
