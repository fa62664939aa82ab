"""One process at a time writes into a folder, and what killed ones left half-made in it goes."""

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
    """Hold the locks of folders, after waiting (and saying so) for a process that holds one of them.

    The system releases them when a process ends, however it ends; what a killed one left half-made is removed here.
    What is complete is read without it, so that a dataset can be read-only.

    Args:
        folders: made if they are missing.
        leftovers: the names of folders that a killed process leaves in them; None: it leaves none.

    Raises:
        UserError: if a folder cannot be written to.
    """
    with contextlib.ExitStack() as held:
        # One lock for each folder, however many names it has; in one order, or two processes could wait for each other.
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
        log.warning("another process is at work in %s (it holds %s): waiting for it", folder, lock.lock_file)
        lock.acquire()
        log.warning("%s: the other process has released it: going on", folder)
    except OSError as error:
        raise UserError(
            f"{folder}: what is missing or has changed cannot be made in it ({error.strerror or error}): make it"
            " writable, or choose another folder"
        ) from error
    return lock


def clear_leftovers(folder: Path, leftovers: re.Pattern) -> None:
    """Remove what killed processes left half-made in a folder, but not what a living one is making there."""
    if not _leftovers(folder, leftovers):
        return
    # Nothing depends on it: a dataset that can only be read, or is being added to, is complete all the same.
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
