"""Files that are kept under another name instead of being overwritten or deleted."""

import itertools
from pathlib import Path


def set_aside(path: Path, suffix: str = "damaged") -> Path:
    """Rename a file or folder to `NAME.damaged` (or `NAME.damaged-2` and so on); returns its new path."""
    target = free_name(path.with_name(f"{path.name}.{suffix}"))
    path.rename(target)
    return target


def free_name(path: Path) -> Path:
    """The path, or the first of `PATH-2`, `PATH-3` and so on that does not exist."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return next(name for name in itertools.chain([path], numbered) if not name.exists() and not name.is_symlink())
