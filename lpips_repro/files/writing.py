"""Files that are written as a whole, and kept under another name instead of being overwritten or deleted."""

import contextlib
import glob
import itertools
import logging
import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

log = logging.getLogger(__name__)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file that is there as a whole or not at all: see `new_file`."""
    with new_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which takes the place of `path` at the end of the block; after an error `path` is unchanged.

    Until then it is hidden next to `path`, under a name with the host and process, so that several may write at once.
    What a killed process of this host left there is removed first.

    Raises:
        OSError: if it cannot be written, such as on a full disk.
    """
    partial = partial_of(path, os.getpid())
    host = partial.name.removesuffix(str(os.getpid()))
    for left in path.parent.glob(f"{glob.escape(host)}*"):
        if not _is_running(left.name.removeprefix(host)):
            left.unlink(missing_ok=True)
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave the new name on an empty file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def partial_of(path: Path, process: int) -> Path:
    """Where a process of this host writes what is to take the place of `path`."""
    return path.with_name(f".{path.name}.partial-{platform.node()}-{process}")


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk itself."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_running(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:  # of another user
        return True
    return True


@contextlib.contextmanager
def written_together(folder: Path) -> Iterator[Path]:
    """A folder for new files of `folder`, which all appear there at the end of the block, or none of them.

    A file that is empty at the end of the block is removed from `folder`. If the process is killed while the files are
    moved, `finish_writing` moves the others.
    """
    finish_writing(folder)
    new, complete = folder / ".new", folder / ".complete"
    shutil.rmtree(new, ignore_errors=True)  # of a process that was killed
    new.mkdir(parents=True)
    try:
        yield new
        for file in new.iterdir():
            sync(file)
        new.rename(complete)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    finish_writing(folder)


def finish_writing(folder: Path) -> None:
    """Move what `written_together` has completed and not moved yet; readers of such files call it first."""
    complete = folder / ".complete"
    for file in complete.iterdir() if complete.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):  # another process moves them, too
            if file.stat().st_size:
                file.replace(folder / file.name)
            else:
                (folder / file.name).unlink(missing_ok=True)
                file.unlink()
    with contextlib.suppress(FileNotFoundError):
        complete.rmdir()


def set_aside(path: Path, suffix: str = "damaged") -> Path:
    """Rename a file or folder to `NAME.damaged` (or `NAME.damaged-2` and so on); returns its new path."""
    target = free_name(path.with_name(f"{path.name}.{suffix}"))
    path.rename(target)
    return target


def keep_damaged(*files: Path, said: str, then: str) -> None:
    """Set aside those of some files that exist, so that they can still be looked at, with a warning.

    Args:
        files: damaged, or of no use without one that is.
        said: of them, such as "FOLDER: damaged"; then: what is done next, such as "made again".
    """
    kept = [set_aside(file).name for file in files if file.is_file()]
    log.warning("%s: kept as %s, and %s", said, ", ".join(kept), then)


def free_name(path: Path) -> Path:
    """The path, or the first of `PATH-2`, `PATH-3` and so on that does not exist."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return next(name for name in itertools.chain([path], numbered) if not name.exists() and not name.is_symlink())
