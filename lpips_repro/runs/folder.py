"""The folder of a run: its lock, its log and its settings."""

import contextlib
import logging
from collections.abc import Collection, Iterator
from pathlib import Path

from filelock import FileLock, Timeout
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from lpips_repro.config.yaml_files import read_settings
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
    """A context that locks the run's folder for this process, and logs to a file in it."""
    folder.mkdir(parents=True, exist_ok=True)
    with _only_process(folder), logged_in(folder / "train.log"):
        yield


def record_settings(folder: Path, composed: DictConfig, left_out: Collection[str]) -> None:
    """Write the settings of a run: `config.yaml` and `run.json`.

    Existing files with the same settings are kept. Files with other settings, for example edited by a user, are set
    aside with a warning: settings come only from the command.

    Args:
        folder: the run's folder; composed: its settings; left_out: settings that may change between starts.
    """
    file = folder / RECORD[0]
    if file.is_file():
        differences = _differences(file, composed, set(left_out) - IN_THE_NAME)
        if not differences:
            return
        kept = [set_aside(folder / name, "earlier").name for name in RECORD if (folder / name).is_file()]
        log.warning(
            "%s: differs from the command's settings (%s): kept as %s and written again",
            file,
            ", ".join(differences),
            " and ".join(kept),
        )
    record_run(folder, composed)


def _differences(file: Path, composed: DictConfig, left_out: Collection[str]) -> list[str]:
    """The differences of a file of settings."""
    try:
        known, now = run_settings(read_settings(file), left_out), run_settings(composed, left_out)
    except (OSError, ValueError, AttributeError, OmegaConfBaseException) as error:
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
