"""Files that are written as a whole, and kept under another name instead of being overwritten or deleted."""

import itertools
import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there as a whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(text)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def set_aside(path: Path, suffix: str = "damaged") -> Path:
    """Rename a file or folder to `NAME.damaged` (or `NAME.damaged-2` and so on); returns its new path."""
    target = free_name(path.with_name(f"{path.name}.{suffix}"))
    path.rename(target)
    return target


def free_name(path: Path) -> Path:
    """The path, or the first of `PATH-2`, `PATH-3` and so on that does not exist."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return next(name for name in itertools.chain([path], numbered) if not name.exists() and not name.is_symlink())
