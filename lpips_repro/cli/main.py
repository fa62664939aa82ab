"""The command `lpips-repro`, whose errors are one line each.

Exit status: 0; 1 if something failed, which is named at the end, after the results of the rest; 2 for wrong usage; 130
after Ctrl-C, with the results that are complete.
"""

import io
import os
import sys
import warnings

import typer

from lpips_repro.cli.app import app
from lpips_repro.cli.printing import INTERRUPTED, one_line
from lpips_repro.errors import UserError


def main() -> None:
    """Run the command; every error is one line."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that the encoding has not would lose all results
    warnings.formatwarning = lambda message, *_: f"warning: {message}\n"
    warnings.filterwarnings("ignore", module=r"PIL\.")  # of damaged metadata: what cannot be read is an error
    os.environ.setdefault("OPENCV_LOG_LEVEL", "FATAL")  # likewise, and of what it cannot read
    try:
        status = app(standalone_mode=False)
    except UserError as error:
        status = _failed(str(error))
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    except OSError as error:
        status = _failed(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        status = _failed(f"{' '.join(error.format_message().split())} (see lpips-repro --help)")
    if status == INTERRUPTED:
        print("interrupted", file=sys.stderr)
    sys.exit(status)


def _failed(message: str) -> int:
    print(f"error: {one_line(message)}", file=sys.stderr)
    return 2
