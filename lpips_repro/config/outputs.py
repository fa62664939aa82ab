"""Checks of output folders: that they are not used for something else, and that names differ not only in case."""

import unicodedata
from collections.abc import Iterable
from pathlib import Path

from lpips_repro.config.checks import check_name
from lpips_repro.errors import UserError

# Folders under `experiments` and `data` that the program uses itself.
RESERVED = {
    "distances": "stored distances",
    "weights": "weights",
    "sweeps": "logs of sweeps",
    "benchmarks": "measured rates",
    "reference": "published figures",
}
RESERVED_DATA = {
    *("archives", "bapps", "collect", "features", "packed", "photographs"),
    *("kadid10k", "mini", "nights", "tid2013"),
}
# Files by which the results of a command are known.
RESULTS = {
    "make train": ("last.pt", "best.pt", "summary.json", "weights.pth"),
    "make paper": ("steps.json",),
    "make eval-tables": ("data.json",),
    "make report": ("figures/figures.json",),
    "make compare": ("flips.csv",),
    "make sparsity": ("sparsity.csv",),
}


def check_output_name(name: str) -> None:
    """Raise UserError if the setting `name` is not a plain name, or that of a folder of the program itself."""
    check_name("name", name)
    if what := RESERVED.get(name.lower()):
        raise UserError(f"name={name}: the folder of this name under experiments is for {what}: choose another name")


def check_output(folder: Path, *commands: str) -> None:
    """Raise UserError if a folder has results of another command, or differs from another folder only in case.

    Args:
        folder: the folder, which may not exist yet.
        commands: the commands whose results it may have, such as "make report".
    """
    check_case(folder)
    for command, files in RESULTS.items():
        if command not in commands and any((folder / file).is_file() for file in files):
            raise UserError(f"{folder}: has results of `{command}`: choose another name: name=NAME")


def check_new_dataset(key: str, folder: Path) -> None:
    """Raise UserError if a new dataset would be made in a folder under `data` that the program uses itself."""
    if folder.resolve().parent == Path("data").resolve() and folder.name.lower() in RESERVED_DATA:
        raise UserError(f"{key}={folder}: the program uses this folder itself: choose another one: {key}=data/NAME")
    check_case(folder)


def check_case(folder: Path) -> None:
    """Raise UserError if another folder has this name in other upper and lower case: on some disks they are one."""
    parent = folder.parent
    if other := next((path for path in _entries(parent) if is_same_name(path.name, folder.name)), None):
        raise UserError(f"{folder}: {other} exists, and differs only in upper and lower case: choose another name")


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:  # missing, or it cannot be listed, in which case nothing can be compared
        return []


def is_same_name(one: str, other: str) -> bool:
    """Whether two different names are one on a file system that ignores case and the form of accents."""
    return one != other and _folded(one) == _folded(other)


def check_names(what: str, names: Iterable[str]) -> None:
    """Raise UserError, naming both, if two names differ only in case; `what`: their kind, with the remedy."""
    known: dict[str, str] = {}
    for name in names:
        other = known.setdefault(_folded(name), name)
        if other != name:
            raise UserError(f"{what}: {other} and {name} differ only in upper and lower case: rename one of them")


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
