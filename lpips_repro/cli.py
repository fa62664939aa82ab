"""How a script runs its entry point: errors of the user's end it in one line."""

import errno
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

from hydra.errors import HydraException, MissingConfigException
from omegaconf.errors import OmegaConfBaseException

from lpips_repro.config import explain
from lpips_repro.datasets.secrets import PublicRecord, hide_arguments
from lpips_repro.errors import UserError
from lpips_repro.sweep import unfinished

LAUNCHERS = ("joblib", "submitit")  # whose errors are told as they are: no SLURM here, a partition that is not there
CONFIGS = Path(__file__).parents[1] / "configs"
SWEEP = "not every run of the sweep finished"
KEPT = "what is complete is kept, and the same command goes on from there"


def run(main: Callable[[], None]) -> None:
    """Call a Hydra entry point; errors of the user's end it with one line (a sweep: one a run) and exit status 1."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises its errors to here
    sys.argv = hide_arguments(sys.argv)  # Hydra prints and writes them in many places
    logging.setLogRecordFactory(PublicRecord)
    warnings.formatwarning = lambda message, *_: f"warning: {message}\n"
    try:
        main()
    except KeyboardInterrupt:
        print(f"interrupted: {KEPT}", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        runs = unfinished()
        message = "\n  ".join([f"{SWEEP}: {KEPT}", *runs]) if runs else _explain(error)
        if message is None:
            raise
        sys.exit(f"error: {message}")


def _explain(error: Exception) -> str | None:
    """What to tell the user, or None where it takes a traceback."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, HydraException | OmegaConfBaseException):
        return _explain_override(error)
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):  # of an open file
        return f"{error.strerror}: {KEPT}"
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    modules = (type(error).__module__, frame.f_globals["__name__"])
    if any(module.partition(".")[0] in LAUNCHERS for module in modules):
        return str(error)
    return None


def _explain_override(error: Exception) -> str:
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and not error.options:
        # Hydra lists the options of a group where one is chosen, but not where several are.
        group, _, name = error.missing_cfg_file.rpartition("/")
        options = sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))
        return f"{group}={name}: expected some of {', '.join(options)}"
    cause = error.__cause__
    while cause is not None and not isinstance(cause, OmegaConfBaseException):
        cause = cause.__cause__
    if cause is None:
        return str(error).partition("\nConfig search path")[0].strip()
    return explain(cause)
