"""How a script runs its entry point: errors of the user's end it in one line."""

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

from hydra.errors import HydraException, MissingConfigException
from omegaconf.errors import OmegaConfBaseException

from lpips_repro.config import explain
from lpips_repro.errors import UserError

CONFIGS = Path(__file__).parents[1] / "configs"


def run(main: Callable[[], None]) -> None:
    """Call a Hydra entry point; errors of the user's end it with one line and exit status 1."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises its errors to here
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("interrupted: what is complete is kept, and the same command goes on from there", file=sys.stderr)
        sys.exit(130)
    except (HydraException, OmegaConfBaseException) as error:
        sys.exit(f"error: {_explain_override(error)}")
    except OSError as error:
        if error.filename:
            sys.exit(f"error: {error.filename}: {error.strerror}")
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):  # of a file that was open
            sys.exit(f"error: {error.strerror}: what is complete is kept, and the same command goes on from there")
        raise


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
