"""What a finished run gives: its row in the tables, beside that of the network before training."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from lpips_repro.config import TrainConfig
from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.datasets.prepare import prepare
from lpips_repro.errors import UserError
from lpips_repro.evaluation.columns import columns_of
from lpips_repro.evaluation.distances import Distance, Engine
from lpips_repro.evaluation.methods import Method, lpips_distance
from lpips_repro.evaluation.results import Results
from lpips_repro.evaluation.runs import TrainedRun
from lpips_repro.evaluation.store import DistanceStore
from lpips_repro.evaluation.tables import Bootstrap, difference, method_row
from lpips_repro.evaluation.trained import method_of_run
from lpips_repro.evaluation.write import terminal_table, write_tables
from lpips_repro.metrics.lpips import LPIPS

BATCH = 64


# By kind of judgment, then split or average: score, low and high end of its interval, in percent.
Scores = dict[str, dict[str, dict[str, float]]]


def write_result(cfg: TrainConfig, run: TrainedRun, initial: Mapping[str, Tensor], device: torch.device) -> Scores:
    """Score a run's exported weights on every validation split; write, print and show in TensorBoard its rows.

    Args:
        cfg: the run's settings; run: the run.
        initial: the backbone's parameters before training, scored off the shelf.
        device: where distances that are not stored yet are computed.

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
    splits = prepare(cfg.data, "val")
    results = Results(Engine(device), DistanceStore(Path(cfg.experiments) / "distances"), splits, BATCH)
    results.add((before, after))
    for label, reason in results.not_run.items():
        raise UserError(f"{run.folder}: trained, but its row cannot be made: {label} {reason}")
    texts, scores = [], {}
    for kind in ("2afc", "jnd"):
        chosen = [split for split in splits if split.card["kind"] == kind]
        if chosen:
            text, scores[kind] = _write(cfg, run.folder, kind, chosen, before, after, results)
            texts.append(text)
    print("\n".join(texts))
    with SummaryWriter(str(run.folder / "tensorboard")) as board:
        board.add_text("result", "\n\n".join("    " + text.replace("\n", "\n    ") for text in texts))
    return scores


def _write(
    cfg: TrainConfig,
    folder: Path,
    kind: str,
    splits: list[PackedSplit],
    before: Method,
    after: Method,
    results: Results,
) -> tuple[str, dict[str, dict[str, float]]]:
    bootstrap = Bootstrap(splits, cfg.bootstrap, cfg.seed)
    common = f"resize={splits[0].card['resize']} bootstrap={cfg.bootstrap} seed={cfg.seed}"
    rows = [
        method_row(method, [results.on(method, splits)], splits, bootstrap, f"{results.words(method)} {common}")
        for method in (before, after)
    ]
    columns = columns_of(kind, [split.card["split"] for split in splits])
    paths = write_tables(folder, kind, rows, columns, with_paper=False)
    text = terminal_table(kind, rows, columns, with_paper=False)
    if kind == "2afc":
        distances = [[results.on(method, splits)] for method in (after, before)]
        scores, interval = difference(*distances, splits, bootstrap)
        low, high = interval["all"]
        text += (
            f"\ndifference in all: {scores['all']:+.2f}, 95 % interval (paired bootstrap) {low:+.2f} to {high:+.2f}\n"
        )
    interval = rows[1].interval
    scores = {column: {"score": score, **_ends(*interval[column])} for column, score in rows[1].scores.items()}
    return f"{text}written: {', '.join(map(str, paths))}\n", scores


def _ends(low: float, high: float) -> dict[str, float]:
    return {"low": low, "high": high}
