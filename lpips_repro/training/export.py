"""The results of a finished run: weights in the released format, and the summary that marks it as finished."""

import dataclasses
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lpips_repro.errors import UserError
from lpips_repro.evaluation.methods.finished_runs import TrainedRun, read_run
from lpips_repro.files import keep_damaged, read_json, set_aside, write_whole
from lpips_repro.runs.checkpoint import check_identity, load_latest, save_whole
from lpips_repro.training.model import RankingModel
from lpips_repro.weights.state_dicts import read_state

log = logging.getLogger(__name__)

SUMMARY = "summary.json"
# The weights of the last step are the run's result. Those of the best validation may be missing.
WEIGHTS = {"best": "weights_best.pth", "last": "weights.pth"}


def is_finished(folder: Path, identity: Mapping[str, Any]) -> bool:
    """Whether the folder has all results of a finished run.

    Damaged files are set aside with a warning. The run writes them again from its last checkpoint.

    Args:
        folder: the run's folder. identity: the digests of its splits, and its settings.

    Raises:
        UserError: if the folder has another run.
    """
    whole = [_is_whole_or_set_aside(folder / name) for name in WEIGHTS.values()]
    file = folder / SUMMARY
    if not file.is_file():
        return False
    try:
        run, summary = read_run(file), read_json(file)
        known, mean = {**run.splits, **summary["settings"]}, float(summary["val_2afc"]["mean"])
    except (ValueError, LookupError, TypeError):
        keep_damaged(file, said=f"{file}: damaged", then="written again")
        return False
    check_identity(folder, known, dict(identity))
    if not all(whole) or not (folder / WEIGHTS["last"]).is_file():
        return False
    log.info("%s: already finished: mean val 2AFC %.2f %%", folder, mean)
    return True


def export_weights(folder: Path, model: RankingModel, identity: dict[str, Any]) -> float | None:
    """Write the weights of the best and the last checkpoint. It leaves the weights of the last one in the model.

    Returns:
        The time of all starts of the run in seconds; None if an earlier version of the code did not count it.
    """
    seconds = None
    for name, exported in WEIGHTS.items():
        saved = load_latest(folder, identity, (f"{name}.pt",))
        if saved is None:
            log.warning("%s: not written: there is no complete %s.pt", folder / exported, name)
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
    """Write the summary of a finished run: what was trained, on which data, its scores in percent, and its time.

    Args:
        run, settings: the run and its settings.
        val_2afc: scores of the last validation by split, and their "mean".
        scores: result of `write_run_tables`.
        seconds: result of `export_weights`.
    """
    summary = {key: value for key, value in dataclasses.asdict(run).items() if key != "folder"}
    summary |= {"settings": dict(settings), "val_2afc": dict(val_2afc), "scores": scores}
    summary["seconds"] = None if seconds is None else round(seconds, 1)
    write_whole(run.folder / SUMMARY, json.dumps(summary, indent=2) + "\n")


def keep_orphans(folder: Path) -> None:
    """Set aside the weights of a run whose checkpoints no longer exist, before it is trained again."""
    for file in (folder / name for name in WEIGHTS.values()):
        if file.is_file():
            log.warning("%s: its checkpoint no longer exists: kept as %s", file, set_aside(file, "earlier").name)


def _is_whole_or_set_aside(file: Path) -> bool:
    """Whether a file of weights is missing or readable. A damaged file is set aside."""
    if not file.is_file():
        return True
    try:
        read_state(file)
    except UserError:
        keep_damaged(file, said=f"{file}: damaged", then="written again")
        return False
    return True
