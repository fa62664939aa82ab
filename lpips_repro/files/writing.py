"""Atomic writing of files, and renaming of damaged files, which are never overwritten or deleted."""

import contextlib
import errno
import glob
import io
import itertools
import logging
import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from PIL import Image

log = logging.getLogger(__name__)

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a full disk, a quota, and a limit of the size of files


def space_remedy(error: BaseException | None) -> str:
    """ ": free some space" for the error of a full disk, else ""."""
    return ": free some space" if isinstance(error, OSError) and error.errno in FULL else ""


@contextlib.contextmanager
def naming(path: Path, *temporary: Path) -> Iterator[None]:
    """A context in which an OSError without a file, such as of a full disk, names a file.

    Args:
        path: the file; temporary: files and folders that are written in its place, which are not named.
    """
    try:
        yield
    except OSError as error:
        if error.errno is not None and (error.filename is None or Path(error.filename) in temporary):
            error.filename = str(path)
        raise


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all: see `new_file`."""
    with new_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def write_picture(path: Path, picture: "Image.Image") -> None:
    """Write a PNG whole or not at all: see `new_file`."""
    content = io.BytesIO()
    picture.save(content, "PNG")
    write_whole(path, content.getvalue())


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A context with a new file, which replaces `path` at its end. After an error `path` is unchanged.

    Until then the file is hidden next to `path`, under a name with host and process, so that several processes may
    write at once. Files of killed processes of this host are removed first.

    Raises:
        OSError: naming `path`, if it cannot be written, for example on a full disk.
    """
    partial = partial_of(path, os.getpid())
    host = partial.name.removesuffix(str(os.getpid()))
    for left in path.parent.glob(f"{glob.escape(host)}*"):
        if not _is_running(left.name.removeprefix(host)):
            left.unlink(missing_ok=True)
    try:
        with naming(path, partial), partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # else a power cut could leave the new name on an empty file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def partial_of(path: Path, process: int) -> Path:
    """The hidden file in which a process of this host writes the new content of `path`."""
    return path.with_name(f".{path.name}.partial-{platform.node()}-{process}")


def sync(path: Path) -> None:
    """Wait until a file, or the list of names in a folder, is on the disk."""
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
    """A context with a temporary folder, whose files all move to `folder` at its end, or none of them.

    An empty file removes the file of this name from `folder`. If the process is killed while files are moved,
    `finish_writing` moves the others.

    Raises:
        OSError: naming a file in `folder`, or the folder, if it cannot be written, for example on a full disk.
    """
    finish_writing(folder)
    new, complete = folder / ".new", folder / ".complete"
    shutil.rmtree(new, ignore_errors=True)  # from a killed process
    new.mkdir(parents=True)
    try:
        with naming(folder, new):
            yield new
            for file in new.iterdir():
                sync(file)
            new.rename(complete)
    except OSError as error:
        if error.filename and Path(error.filename).parent == new:
            error.filename = str(folder / Path(error.filename).name)
        raise
    finally:
        shutil.rmtree(new, ignore_errors=True)
    finish_writing(folder)


def finish_writing(folder: Path) -> None:
    """Move the complete files of `written_together` that were not moved yet. Readers of such files call it first."""
    complete = folder / ".complete"
    for file in complete.iterdir() if complete.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):  # another process may also move them
            if file.stat().st_size:
                file.replace(folder / file.name)
            else:
                (folder / file.name).unlink(missing_ok=True)
                file.unlink()
    with contextlib.suppress(FileNotFoundError):
        complete.rmdir()


def set_aside(path: Path, suffix: str = "damaged") -> Path:
    """Rename a file or folder to `NAME.damaged` (or `NAME.damaged-2` and so on), and return its new path."""
    target = free_name(path.with_name(f"{path.name}.{suffix}"))
    path.rename(target)
    return target


def keep_damaged(*files: Path, said: str, then: str) -> None:
    """Set aside the files that exist, and warn.

    Args:
        files: damaged files, and files that are of no use without them.
        said: the reason, such as "FOLDER: damaged"; then: the next action, such as "made again".
    """
    kept = [set_aside(file).name for file in files if file.is_file()]
    log.warning("%s: kept as %s, and %s", said, ", ".join(kept), then)


def free_name(path: Path) -> Path:
    """The path, or the first of `PATH-2`, `PATH-3` and so on that does not exist."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return next(name for name in itertools.chain([path], numbered) if not name.exists() and not name.is_symlink())
