"""Tables are kept when those of other data take their folder: a name such as folder stands for many data."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.files import free_name

log = logging.getLogger(__name__)

FILE = "data.json"  # what the tables of a folder are of


def describe_splits(splits: Sequence[PackedSplit]) -> dict[str, str]:
    """The count and digest of each split by its name."""
    return {split.name: f"{len(split)} examples {split.card['digest'][:12]}" for split in splits}


def keep_other_tables(folder: Path, data: Mapping[str, str]) -> None:
    """Make a folder ready for the tables of some data.

    If it holds tables of other data, its files (but logs) go into a folder with a digest of those data behind the
    name, with a warning.

    Args:
        folder: of the tables; made if it does not exist.
        data: all that the tables are of, by name: see `describe_splits`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / FILE
    known = _read(file)
    if known != dict(data):
        files = [path for path in folder.iterdir() if path.is_file() and path.suffix != ".log" and path.name[0] != "."]
        if files:
            _move(folder, files, known)
        file.write_text(json.dumps(dict(data), indent=2) + "\n")


def _read(file: Path) -> dict[str, str] | None:
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):
        return None


def _move(folder: Path, files: Sequence[Path], known: Mapping[str, str] | None) -> None:
    digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:8]
    kept = free_name(folder.with_name(f"{folder.name}-{'earlier' if known is None else digest}"))
    kept.mkdir()
    for path in files:
        path.rename(kept / path.name)
    log.warning("%s: its tables are of other data: kept in %s", folder, kept)
