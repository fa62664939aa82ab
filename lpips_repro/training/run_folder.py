"""The folder of a run: one process works in it, and its log is there."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from lpips_repro.errors import UserError
from lpips_repro.logs import logged_in


@contextlib.contextmanager
def reported_in(folder: Path) -> Iterator[None]:
    """The run's folder is this process's, with a log there."""
    folder.mkdir(parents=True, exist_ok=True)
    with _only_process(folder), logged_in(folder / "train.log"):
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
