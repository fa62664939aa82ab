"""Files that are written as a whole, and kept under another name instead of being overwritten or deleted."""

import contextlib
import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there as a whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(text)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


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
            with file.open("rb") as content:
                os.fsync(content.fileno())
        new.rename(complete)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    finish_writing(folder)


def finish_writing(folder: Path) -> None:
    """Move what `written_together` has completed and not moved yet; readers of such files call it first."""
    complete = folder / ".complete"
    if not complete.is_dir():
        return
    for file in complete.iterdir():
        if file.stat().st_size:
            file.replace(folder / file.name)
        else:
            (folder / file.name).unlink(missing_ok=True)
            file.unlink()
    complete.rmdir()


def set_aside(path: Path, suffix: str = "damaged") -> Path:
    """Rename a file or folder to `NAME.damaged` (or `NAME.damaged-2` and so on); returns its new path."""
    target = free_name(path.with_name(f"{path.name}.{suffix}"))
    path.rename(target)
    return target


def free_name(path: Path) -> Path:
    """The path, or the first of `PATH-2`, `PATH-3` and so on that does not exist."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return next(name for name in itertools.chain([path], numbered) if not name.exists() and not name.is_symlink())
