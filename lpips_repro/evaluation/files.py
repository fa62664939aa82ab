"""Files of stored distances: written as a whole, and set aside if they are damaged."""

import json
import logging
import os
from pathlib import Path

import numpy as np

log = logging.getLogger(__name__)


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there as a whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(text)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def dtype_of(card: Path) -> np.dtype:
    """The dtype of stored distances, by the JSON of their file; ValueError if it does not say so."""
    content = json.loads(card.read_text())
    dtype = content.get("values") if isinstance(content, dict) else None
    if dtype not in ("float32", "float64"):
        raise ValueError(f"{card.name} does not say which dtype the values have")
    return np.dtype(dtype)


def set_aside(path: Path, reason: Exception) -> None:
    """Rename a damaged file, and its JSON, so that it can still be looked at; says so."""
    for file in (path, path.with_suffix(".json")):
        if file.is_file():
            file.replace(file.with_name(f"{file.name}.damaged"))
    log.warning("%s: damaged distances (%s): set aside as %s.damaged, and computed again", path, reason, path.name)
