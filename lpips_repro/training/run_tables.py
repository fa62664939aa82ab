"""The tables of a finished run: its row, and the row of the network before training."""

import itertools
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from lpips_repro.config import TrainConfig
from lpips_repro.datasets.prepare import prepare
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances.compute import Distance, Engine
from lpips_repro.evaluation.distances.results import Results
from lpips_repro.evaluation.distances.store import DistanceStore
from lpips_repro.evaluation.methods.finished_runs import TrainedRun
from lpips_repro.evaluation.methods.method import Method
from lpips_repro.evaluation.methods.published import lpips_distance
from lpips_repro.evaluation.methods.trained import method_of_run
from lpips_repro.evaluation.protocols import PROTOCOLS, Protocol
from lpips_repro.evaluation.tables.differences import difference_of_rows
from lpips_repro.evaluation.tables.table import Bootstrap, Row, Scores, make_table
from lpips_repro.evaluation.tables.writer import caption_of, terminal_table, write_tables
from lpips_repro.evaluation.usable_splits import usable_splits
from lpips_repro.files import written_together
from lpips_repro.metrics.lpips import LPIPS
from lpips_repro.runs.tensorboard import open_board
from lpips_repro.training.hparams import write_hparams

# Score and ends of its interval ("score", "low", "high"), by protocol, then by split or average.
RunScores = dict[str, dict[str, dict[str, float]]]


def write_run_tables(
    cfg: TrainConfig, run: TrainedRun, initial: Mapping[str, Tensor], device: torch.device
) -> RunScores:
    """Score a run's exported weights on each validation split; write, print and show its tables in TensorBoard.

    Args:
        cfg: the run's settings; run: the run.
        initial: the backbone's parameters before training, scored off the shelf.
        device: the device for distances that are not stored yet.

    Splits whose score is undefined are left out, with a warning.

    Returns:
        The run's scores: {"2afc": {"cnn": {"score": ..., "low": ..., "high": ...}, ...}, "jnd": ...}.
    """
    net = cfg.net[run.net]

    def build(engine: Engine) -> Distance:
        init = net.init.value if run.variant != "scratch" else f"{cfg.trainer.scratch_init.value}(seed={run.seed})"
        return lpips_distance(LPIPS(run.backbone, "off_the_shelf", run.version, initial), engine, init=init)

    group = "random" if run.variant == "scratch" else net.supervision
    before = Method(group, run.net, build, "off_the_shelf", run.version, origin="before training")
    after = method_of_run(run, net.supervision)
    splits = usable_splits(prepare(cfg.data, "val"))
    results = Results(Engine(device), DistanceStore(Path(cfg.experiments) / "distances"), splits)
    results.add((before, after))
    for method, split in itertools.product((before, after), splits):
        if reason := results.reason(method, split.card["kind"]):
            raise UserError(f"{run.folder}: trained, but its row cannot be made: {method.label} {reason}")
    tables, texts, found = [], [], {}
    for protocol in PROTOCOLS.values():
        chosen = [split for split in splits if split.card["kind"] == protocol.kind]
        if chosen:
            bootstrap = Bootstrap(protocol, chosen, cfg.bootstrap, cfg.seed)
            caption = caption_of(chosen[0].card["observers"], with_paper=False)
            tables.append(make_table((before, after), chosen, results, bootstrap, caption))
            row_before, row_after = tables[-1].rows
            difference = difference_of_rows(row_after, row_before)
            texts.append(terminal_table(tables[-1]) + _words_of(difference, protocol))
            found[protocol.name] = _with_ends(tables[-1].rows[-1])
    with written_together(run.folder) as new:
        files = write_tables(new, tables)
    texts.append(f"written: {', '.join(str(run.folder / file.name) for file in files)}\n")
    print("\n".join(texts))
    with open_board(run.folder) as board:
        board.add_text("result", "\n\n".join("    " + text.replace("\n", "\n    ") for text in texts))
        write_hparams(board, cfg, found)
    return found


def _words_of(difference: Scores, protocol: Protocol) -> str:
    scores, interval = difference
    of_all, low, high = (f"{value:+.{protocol.decimals}f}" for value in (scores["all"], *interval["all"]))
    better = "positive" if protocol.best is max else "negative"
    return f"\ndifference in all: {of_all} ({better} is better), 95 % interval (paired bootstrap) {low} to {high}\n"


def _with_ends(row: Row) -> dict[str, dict[str, float]]:
    ends = {column: dict(zip(("low", "high"), row.interval[column], strict=True)) for column in row.scores}
    return {column: {"score": score, **ends[column]} for column, score in row.scores.items()}
