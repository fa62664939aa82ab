"""The results of the runs of a sweep (`make train-all`), with any of Hydra's launchers.

A launcher reports the error of only one run, and no error if a process was killed. So each run writes a note to the
sweep's folder when it begins and when it ends, and the report is made from the notes.
"""

import logging
import multiprocessing
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from lpips_repro.errors import UserError

log = logging.getLogger(__name__)

BEGUN = "did not end: its process was killed, or is still running"
FINISHED = "finished"

_launched: Path | None = None  # the folder of this process's own sweep


class Notes(Callback):
    """Hydra's callback that writes the notes, one file per run: `<hydra.sweep.dir>/runs/<number>`."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Remember the folder of the notes, in the process that launches the sweep."""
        global _launched
        _launched = Path(config.hydra.sweep.dir) / "runs"

    def on_job_start(self, config: DictConfig, **_: Any) -> None:
        """Write a note that the run began, in the run's process."""
        if config.hydra.mode is RunMode.MULTIRUN:
            if multiprocessing.get_start_method(allow_none=True) == "loky":
                _prepare_joblib_worker()
            _write(config, BEGUN)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        """Write a note of the run's result, in the run's process."""
        if config.hydra.mode is not RunMode.MULTIRUN:
            return
        if job_return.status is JobStatus.COMPLETED:
            _write(config, FINISHED)
            return
        error = job_return._return_value  # the property would raise it
        reason = str(error)
        if not isinstance(error, UserError):
            log.error("", exc_info=error)  # here, since the launcher does not get the traceback
            reason = f"{type(error).__name__}: {error}"
        _write(config, reason)
        job_return.return_value = UserError(reason)  # a UserError can be pickled; not every error can


def unfinished() -> list[str]:
    """One line per run of this process's sweep that began and did not finish: number, settings and reason."""
    if _launched is None:
        return []
    notes = sorted(_launched.glob("*"), key=lambda note: int(note.name))
    lines = [f"#{note.name} {note.read_text()}" for note in notes]
    return [line for line in lines if not line.endswith(f": {FINISHED}")]


def _prepare_joblib_worker() -> None:
    multiprocessing.set_start_method("spawn", force=True)  # joblib's own method is unknown to child processes
    sys.stderr.isatty = lambda: False  # type: ignore[method-assign]  # no progress bars, which would overwrite others
    threading.Thread(target=_end_with_launcher, args=(os.getppid(),), daemon=True).start()


def _end_with_launcher(launcher: int) -> None:
    # If the launcher is killed, the worker must not continue: it would keep the run locked.
    while os.getppid() == launcher:
        time.sleep(1)
    os._exit(1)


def _write(config: DictConfig, outcome: str) -> None:
    note = Path(config.hydra.sweep.dir) / "runs" / str(config.hydra.job.num)
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(f"{' '.join(config.hydra.overrides.task)}: {outcome}")
