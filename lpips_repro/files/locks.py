"""Locks, so that one process at a time writes into a folder, and removal of incomplete folders of killed processes."""

import contextlib
import logging
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from lpips_repro.errors import UserError

log = logging.getLogger(__name__)


@contextlib.contextmanager
def exclusive(*folders: Path, leftovers: re.Pattern | None = None) -> Iterator[None]:
    """A context that holds the locks of folders. It waits, with a warning, for other processes that hold them.

    The system releases a lock if its process ends in any way. Incomplete folders of killed processes are removed.
    Complete data are read without locks, so that a dataset can be read-only.

    Args:
        folders: the folders, which are made if they are missing.
        leftovers: names of incomplete folders in them; None: there are none.

    Raises:
        UserError: if a folder cannot be written to.
    """
    with contextlib.ExitStack() as held:
        # One lock per folder, which may have several names; in one order, so that two processes do not wait for each
        # other.
        for folder in sorted({folder.resolve() for folder in folders}):
            held.callback(_acquire(folder).release)
            _remove(_leftovers(folder, leftovers))
        yield


def _acquire(folder: Path) -> FileLock:
    lock = FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        log.warning("another process is writing to %s (it holds %s): waiting for it", folder, lock.lock_file)
        lock.acquire()
        log.warning("%s: the other process has released the lock: continuing", folder)
    except OSError as error:
        raise UserError(
            f"{folder}: not writable ({error.strerror or error}), and something in it is missing or has changed: make"
            " it writable, or choose another folder"
        ) from error
    return lock


def clear_leftovers(folder: Path, leftovers: re.Pattern) -> None:
    """Remove incomplete folders of killed processes in a folder, but not those of a running process."""
    if not _leftovers(folder, leftovers):
        return
    # Errors are ignored: a dataset that is read-only or locked can still be read.
    with contextlib.suppress(Timeout, OSError), FileLock(folder / ".lock").acquire(timeout=0):
        _remove(_leftovers(folder, leftovers))


def _leftovers(folder: Path, names: re.Pattern | None) -> list[Path]:
    if names is None or not folder.is_dir():
        return []
    found = folder.iterdir()
    return [path for path in found if names.fullmatch(path.name) and path.is_dir() and not path.is_symlink()]


def _remove(folders: Iterable[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder)
