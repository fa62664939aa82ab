"""The folder of a run: one process works in it, its log is there, and how it was begun."""

import contextlib
import logging
from collections.abc import Collection, Iterator
from pathlib import Path

import yaml
from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lpips_repro.errors import UserError
from lpips_repro.files import set_aside
from lpips_repro.logs import logged_in
from lpips_repro.runs.record import record_run
from lpips_repro.runs.run_name import run_settings

log = logging.getLogger(__name__)

RECORD = ("config.yaml", "run.json")
IN_THE_NAME = {"seed", "version"}


@contextlib.contextmanager
def reported_in(folder: Path) -> Iterator[None]:
    """The run's folder is this process's, with a log there."""
    folder.mkdir(parents=True, exist_ok=True)
    with _only_process(folder), logged_in(folder / "train.log"):
        yield


def record_settings(folder: Path, composed: DictConfig, left_out: Collection[str]) -> None:
    """Write how a run was begun: `config.yaml` and `run.json`.

    What is there stays if it has the settings that the run has. If it has others, such as those of a user who edited
    it, it is set aside with a warning: settings come from the command alone.

    Args:
        folder: the run's; composed: its settings; left_out: those that may change between its starts.
    """
    file = folder / RECORD[0]
    if file.is_file():
        differences = _differences(file, composed, set(left_out) - IN_THE_NAME)
        if not differences:
            return
        kept = [set_aside(folder / name, "earlier").name for name in RECORD if (folder / name).is_file()]
        log.warning(
            "%s: not the settings of this run (%s), which come from the command: kept as %s and written again",
            file,
            ", ".join(differences),
            " and ".join(kept),
        )
    record_run(folder, composed)


def _differences(file: Path, composed: DictConfig, left_out: Collection[str]) -> list[str]:
    """What a file of settings says otherwise."""
    try:
        known, now = run_settings(OmegaConf.load(file), left_out), run_settings(composed, left_out)
    except (OSError, ValueError, AttributeError, yaml.YAMLError, OmegaConfBaseException) as error:
        return [f"not readable: {str(error).partition(chr(10))[0]}"]
    names = [name for name in {**known, **now} if known.get(name) != now.get(name)]
    return [f"{name}: {known.get(name, 'absent')}, not {now.get(name, 'absent')}" for name in names]


@contextlib.contextmanager
def _only_process(folder: Path) -> Iterator[None]:
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"{folder}: another process is training this run: wait for it, or use another seed") from None
    try:
        yield
    finally:
        lock.release()
