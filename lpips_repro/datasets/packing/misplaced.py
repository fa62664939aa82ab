"""The error for a folder without splits: what is in it, and where the splits probably are."""

from collections.abc import Iterator
from pathlib import Path

from lpips_repro.datasets.packed import IMAGE_FIELDS, PHASES

OTHER_NAMES = {"test": "val", "valid": "val", "validation": "val", "dev": "val", "training": "train"}
MOST_SHOWN = 6


def explain_missing(root: Path, phase: str) -> str:
    """The error for a folder without splits of a phase ("train", "val"): what is expected and found, and the remedy."""
    expected = f"expected folders such as {root}/2afc/{phase}/SPLIT/ref"
    return f"{root}: no split here: {expected}; found {_found(root)}{_remedy(root)}"


def _found(root: Path) -> str:
    names = []
    for path in _visible(root):
        below = [inner for inner in _visible(path) if path.name.lower() in IMAGE_FIELDS and inner.is_dir()]
        names += [str(one.relative_to(root)) + "/" * one.is_dir() for one in below or [path]]
    more = f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else ""
    return ", ".join(names[:MOST_SHOWN]) + more if names else "nothing"


def _remedy(root: Path) -> str:
    names = {path.name for path in _visible(root) if path.is_dir()}
    if likely := next((other for other in _around(root) if _has_layout(other)), None):
        return f": {likely} has the layout: set DATA_ROOT={likely} (data.root)"
    whole = root.resolve()
    if whole.name.lower() in IMAGE_FIELDS:
        return f": it is the folder {whole.name} of a dataset: set DATA_ROOT={whole.parent} (data.root)"
    if renamed := next(_wrong_names(root), None):
        path, name = renamed
        return f": rename {path} to {path.with_name(name)}"
    if {"p0", "p1"} <= names:
        kind = "2afc" if "ref" in names else "jnd"
        return f": it is a split: move it to ROOT/{kind}/val/{whole.name} and set DATA_ROOT=ROOT"
    if found := [name for name in PHASES if name in names]:
        return f": move {root / found[0]} into {root}/2afc (triplets) or {root}/jnd (pairs)"
    return ""


def _around(root: Path) -> Iterator[Path]:
    """Folders above that it may be a part of, and the folders in it."""
    whole = root.resolve()
    for above in [*whole.parents][:3]:
        if whole.relative_to(above).parts[0] in IMAGE_FIELDS:
            yield above
    for path in _visible(root):
        yield path
        yield from _visible(path)


def _has_layout(folder: Path) -> bool:
    return any((folder / kind / phase).is_dir() for kind in IMAGE_FIELDS for phase in PHASES)


def _wrong_names(root: Path) -> Iterator[tuple[Path, str]]:
    """Folders with a variant of the name of a kind or phase, and the right name."""
    for path in filter(Path.is_dir, _visible(root)):
        kind = path.name.lower()
        if kind not in IMAGE_FIELDS:
            continue
        if path.name != kind:
            yield path, kind
        for inner in filter(Path.is_dir, _visible(path)):
            phase = OTHER_NAMES.get(inner.name.lower(), inner.name.lower())
            if phase in PHASES and phase != inner.name:
                yield inner, phase


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.name[0] != ".")
    except OSError:  # a file, or a folder without permission
        return []
