"""The command `lpips-repro`. Each error is one line.

Exit status: 0 for success; 1 if a method or an image failed (the other results are written, and the failures are named
at the end); 2 for wrong usage; 130 after Ctrl-C, 143 after SIGTERM (the complete results are written).
"""

import io
import os
import signal
import sys
import warnings

import typer

from lpips_repro.cli.app import app
from lpips_repro.cli.printing import own_standard_error
from lpips_repro.cli.stopping import ENDED, INTERRUPTED, TERMINATED, heard_once
from lpips_repro.errors import Terminated, UserError
from lpips_repro.quoting import one_line


def main() -> None:
    """Run the command and exit with its status."""
    is_program = sys.stderr is sys.__stderr__
    if is_program:
        own_standard_error()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names may have characters that cannot be encoded
    warnings.formatwarning = lambda message, *_: f"warning: {message}\n"
    warnings.filterwarnings("ignore", module=r"PIL\.")  # about damaged metadata; unreadable images are errors
    os.environ.setdefault("OPENCV_LOG_LEVEL", "FATAL")  # unreadable images are errors
    with heard_once():
        status = _run()
        if status in ENDED:
            print(ENDED[status], file=sys.stderr)
    if is_program:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing is left to interrupt
    sys.exit(status)


def _run() -> int:
    """Run the command; return its exit status."""
    try:
        return app(standalone_mode=False) or 0
    except UserError as error:
        return _failed(str(error))
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except Terminated:
        return TERMINATED
    except OSError as error:
        return _failed(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        message = " ".join(error.format_message().split())
        dash = "; file names that begin with - go after --" if message.startswith("No such option") else ""
        return _failed(f"{message} (see lpips-repro --help{dash})")


def _failed(message: str) -> int:
    print(f"error: {one_line(message)}", file=sys.stderr)
    return 2
