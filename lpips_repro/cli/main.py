"""The command `lpips-repro`. Each error is one line.

Exit status: 0 for success; 1 if a method or an image failed (the other results are written, and the failures are named
at the end); 2 for wrong usage; 130 after Ctrl-C, 143 after SIGTERM (the complete results are written).
"""

import io
import os
import sys
import warnings

import typer

from lpips_repro.cli.app import app
from lpips_repro.cli.printing import ENDED, INTERRUPTED, own_standard_error
from lpips_repro.errors import UserError
from lpips_repro.quoting import one_line


def main() -> None:
    """Run the command and exit with its status."""
    if sys.stderr is sys.__stderr__:
        own_standard_error()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names may have characters that cannot be encoded
    warnings.formatwarning = lambda message, *_: f"warning: {message}\n"
    warnings.filterwarnings("ignore", module=r"PIL\.")  # about damaged metadata; unreadable images are errors
    os.environ.setdefault("OPENCV_LOG_LEVEL", "FATAL")  # unreadable images are errors
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
        message = " ".join(error.format_message().split())
        dash = "; file names that begin with - go after --" if message.startswith("No such option") else ""
        status = _failed(f"{message} (see lpips-repro --help{dash})")
    if status in ENDED:
        print(ENDED[status], file=sys.stderr)
    sys.exit(status)


def _failed(message: str) -> int:
    print(f"error: {one_line(message)}", file=sys.stderr)
    return 2
