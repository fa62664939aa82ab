"""The log file of a run."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def logged_in(file: Path) -> Iterator[None]:
    """A context in which log records are also appended to a file. Its folder is made if it is missing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handler = _LogFile(file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        with contextlib.suppress(OSError):  # of lines that could not be written
            handler.close()


class _LogFile(logging.FileHandler):
    """A handler that says once if lines cannot be written, such as on a full disk, instead of a traceback per line."""

    said = False

    def handleError(self, record: logging.LogRecord) -> None:
        """Report the exception that is being handled."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self.said:
            self.said = True
            print(f"{self.baseFilename}: log lines are missing: {error.strerror}", file=sys.stderr)
