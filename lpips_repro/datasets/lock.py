"""One process at a time makes packed splits in a folder."""

import contextlib
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

log = logging.getLogger(__name__)


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder of packed splits, after waiting (and saying so) for a process that holds it.

    The system releases it when a process ends, however it ends; what a killed one left half-made is removed here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.warning("another process is making splits in %s (it holds %s): waiting for it", folder, lock.lock_file)
        lock.acquire()
    try:
        for left in [*folder.glob(".*.partial-*"), *folder.glob(".*.old-*"), *folder.glob(".*.spool")]:
            shutil.rmtree(left)
        yield
    finally:
        lock.release()
