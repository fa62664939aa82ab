"""The folder of a run: one process works in it, and its log is there."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from lpips_repro.errors import UserError


@contextlib.contextmanager
def reported_in(folder: Path) -> Iterator[None]:
    """The run's folder is this process's, with a log there."""
    folder.mkdir(parents=True, exist_ok=True)
    with _only_process(folder), _log_file(folder / "train.log"):
        yield


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


@contextlib.contextmanager
def _log_file(path: Path) -> Iterator[None]:
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
