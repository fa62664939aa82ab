"""What a finished run leaves: weights in the released format, and the summary that says that it is finished."""

import dataclasses
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lpips_repro.errors import UserError
from lpips_repro.evaluation.methods.finished_runs import TrainedRun, read_run
from lpips_repro.files import keep_damaged, set_aside, write_whole
from lpips_repro.runs.checkpoint import check_identity, load_latest, save_whole
from lpips_repro.training.model import RankingModel
from lpips_repro.weights.state_dicts import read_state

log = logging.getLogger(__name__)

SUMMARY = "summary.json"
# The weights of the last step are the run's result; those of the best validation may be missing.
WEIGHTS = {"best": "weights_best.pth", "last": "weights.pth"}


def is_finished(folder: Path, identity: Mapping[str, Any]) -> bool:
    """Whether a run in a folder left all that a finished run leaves.

    Files of it that are damaged are set aside with a warning: the run writes them again, from its last checkpoint.

    Args:
        identity: the digests of its splits, and its settings.

    Raises:
        UserError: if the run there is another one.
    """
    whole = [_is_whole_or_set_aside(folder / name) for name in WEIGHTS.values()]
    file = folder / SUMMARY
    if not file.is_file():
        return False
    try:
        run, summary = read_run(file), json.loads(file.read_text())
        known, mean = {**run.splits, **summary["settings"]}, summary["val_2afc"]["mean"]
    except (ValueError, LookupError, TypeError):
        keep_damaged(file, said=f"{file}: damaged", then="written again")
        return False
    check_identity(folder, known, dict(identity))
    if not all(whole) or not (folder / WEIGHTS["last"]).is_file():
        return False
    log.info("%s: finished already: mean val 2AFC %.2f %%", folder, mean)
    return True


def export_weights(folder: Path, model: RankingModel, identity: dict[str, Any]) -> float | None:
    """Write the weights of the best and of the last checkpoint; the model has those of the last one afterwards.

    Returns:
        The seconds that all starts of the run took; None if earlier versions of the code, which did not count them,
        took part.
    """
    seconds = None
    for name, exported in WEIGHTS.items():
        saved = load_latest(folder, identity, (f"{name}.pt",))
        if saved is None:
            log.warning("%s: not written: there is no whole %s.pt", folder / exported, name)
            continue
        model.load_trained_state(saved["model"])
        save_whole(folder / exported, model.trained_metric().cpu().official_state_dict())
        seconds = saved.get("seconds")
    return seconds


def write_summary(
    run: TrainedRun,
    settings: Mapping[str, Any],
    val_2afc: Mapping[str, float],
    scores: Mapping[str, Mapping[str, Mapping[str, float]]],
    seconds: float | None,
) -> None:
    """Write that a run is finished: what was trained on what, its scores in percent, and how long it took.

    Args:
        val_2afc: of the last validation, by split, and their "mean".
        scores: of the tables, as `write_run_tables` gives them.
        seconds: of training, as `export_weights` gives them.
    """
    summary = {key: value for key, value in dataclasses.asdict(run).items() if key != "folder"}
    summary |= {"settings": dict(settings), "val_2afc": dict(val_2afc), "scores": scores}
    summary["seconds"] = None if seconds is None else round(seconds, 1)
    write_whole(run.folder / SUMMARY, json.dumps(summary, indent=2) + "\n")


def keep_orphans(folder: Path) -> None:
    """Set aside the weights of a run whose checkpoints no longer exist, before it is trained again."""
    for file in (folder / name for name in WEIGHTS.values()):
        if file.is_file():
            log.warning("%s: no checkpoint of it is left: kept as %s", file, set_aside(file, "earlier").name)


def _is_whole_or_set_aside(file: Path) -> bool:
    """Whether a file of weights is missing or whole."""
    if not file.is_file():
        return True
    try:
        read_state(file)
    except UserError:
        keep_damaged(file, said=f"{file}: damaged", then="written again")
        return False
    return True
