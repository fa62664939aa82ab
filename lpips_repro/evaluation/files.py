"""Files of stored distances: the dtype of their values, and what is done if they are damaged."""

import json
import logging
from pathlib import Path

import numpy as np

from lpips_repro.files import set_aside

log = logging.getLogger(__name__)

DTYPES = ("float32", "float64")


def dtype_of(card: Path) -> np.dtype:
    """The dtype of stored distances, by the JSON of their file; ValueError if it does not say so."""
    content = json.loads(card.read_text())
    dtype = content.get("values") if isinstance(content, dict) else None
    if dtype not in DTYPES:
        raise ValueError(f"{card.name} does not say which dtype the values have")
    return np.dtype(dtype)


def keep_damaged(path: Path, reason: Exception) -> None:
    """Set a damaged file and its JSON aside, so that they can still be looked at, and say so."""
    kept = [set_aside(file) for file in (path, path.with_suffix(".json")) if file.is_file()]
    log.warning("%s: damaged distances (%s): set aside as %s, and computed again", path, reason, kept[0].name)
