"""Files with the images of many examples, as lossless WebP. A file is reused if its content would be the same."""

import functools
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.files import read_json, write_whole
from lpips_repro.parallel import available_cores
from lpips_repro.progress import Progress

EACH = 64  # examples per file; fewer if images are large
ACROSS = 8  # examples per row
LARGEST = 16383  # largest width and height of WebP, in pixels
PIXELS = 1 << 24  # largest number of pixels per file
FORMAT = 1  # to be changed if the same images are written in another way
SAMPLE = 8  # number of examples from which the size of all is estimated


@dataclass(frozen=True)
class Layout:
    """The cells of a file: cells per row, largest number of cells, and height and width of a cell in pixels."""

    across: int
    each: int
    height: int
    width: int


@dataclass(frozen=True)
class Sheet:
    """A file of images.

    Attributes:
        name: name of the file without suffix.
        indices: indices of its examples, in order.
        layout: layout of its cells.
        render: returns the cells of some examples, uint8 (n, height, width, 3), with a number per example or none.
        numbered: whether `render` returns numbers.
    """

    name: str
    indices: np.ndarray = field(repr=False)
    layout: Layout
    render: Callable[[np.ndarray], tuple[np.ndarray, list[float]]] = field(repr=False)
    numbered: bool


def layout_of(height: int, width: int) -> Layout:
    """Return the layout for cells of some size in pixels."""
    across = max(1, min(ACROSS, LARGEST // width))
    each = min(EACH, max(1, PIXELS // (height * width)), across * max(1, LARGEST // height))
    return Layout(min(across, each), each, height, width)


def triplet_sheets(split: PackedSplit, indices: np.ndarray) -> list[Sheet]:
    """Return the files of some triplets of a split; a cell has reference, p0 and p1 side by side."""
    height, width = split.size
    return sheets_of(split, indices, layout_of(height, 3 * width), functools.partial(_triplets, split), {})


def sheets_of(
    split: PackedSplit,
    indices: np.ndarray,
    layout: Layout,
    render: Callable[[np.ndarray], tuple[np.ndarray, list[float]]],
    identity: Mapping[str, Any],
    *,
    numbered: bool = False,
) -> list[Sheet]:
    """Return the files of some examples. Their names depend on their content.

    Args:
        split: split of the examples; indices: indices of the examples.
        layout, render: see `Sheet`.
        identity: everything that the content depends on, except the images of the split.
        numbered: whether `render` returns numbers, which are written to a separate file.
    """
    found = []
    for start in range(0, len(indices), layout.each):
        own = indices[start : start + layout.each]
        content = {"digest": split.card["digest"], "own": own.tolist(), "format": FORMAT, **identity}
        name = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]
        found.append(Sheet(name, own, layout, render, numbered))
    return found


def _triplets(split: PackedSplit, indices: np.ndarray) -> tuple[np.ndarray, list[float]]:
    return np.concatenate([split.arrays[name][indices] for name in TWOAFC.images], axis=2), []


def estimated_size(split: PackedSplit, indices: np.ndarray) -> int:
    """Return the estimated size in bytes of the files of some triplets."""
    if not len(indices):
        return 0
    few = indices[np.linspace(0, len(indices) - 1, min(SAMPLE, len(indices))).astype(int)]
    (sheet, *_) = triplet_sheets(split, few)
    return len(_encoded(sheet)[0]) * len(indices) // len(sheet.indices)


def write_sheets(folder: Path, sheets: Sequence[Sheet], what: str) -> int:
    """Write the files that do not exist yet, and return their number. A file is either complete or absent.

    Args:
        folder: folder of the files.
        sheets: files to write.
        what: name of the content, for the progress bar.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [sheet for sheet in sheets if not _is_whole(folder, sheet)]
    with ThreadPoolExecutor(available_cores()) as pool, Progress(total=len(missing), desc=what, unit="file") as bar:
        for _ in pool.map(functools.partial(_write, folder), missing):
            bar.update()
    return len(missing)


def numbers_of(folder: Path, sheet: Sheet) -> list[float]:
    """Return the numbers of the examples of a file.

    Raises:
        OSError, ValueError: if they are missing or damaged.
    """
    numbers = read_json(folder / f"{sheet.name}.json")
    if not isinstance(numbers, list) or not all(isinstance(number, int | float) for number in numbers):
        raise ValueError("expected a list of numbers")
    return numbers


def _is_whole(folder: Path, sheet: Sheet) -> bool:
    try:
        return (folder / f"{sheet.name}.webp").is_file() and (not sheet.numbered or bool(numbers_of(folder, sheet)))
    except (OSError, ValueError):  # the numbers are missing or damaged
        return False


def _write(folder: Path, sheet: Sheet) -> None:
    content, numbers = _encoded(sheet)
    if numbers:
        write_whole(folder / f"{sheet.name}.json", json.dumps(numbers))
    write_whole(folder / f"{sheet.name}.webp", content)  # written last: then both files are complete


def _encoded(sheet: Sheet) -> tuple[bytes, list[float]]:
    cells, numbers = sheet.render(sheet.indices)
    layout, count = sheet.layout, len(cells)
    rows = -(-count // layout.across)
    canvas = np.zeros((rows * layout.across, *cells.shape[1:]), np.uint8)
    canvas[:count] = cells
    grid = canvas.reshape(rows, layout.across, layout.height, layout.width, 3).swapaxes(1, 2)
    file = io.BytesIO()
    pixels = grid.reshape(rows * layout.height, layout.across * layout.width, 3)
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "WEBP", lossless=True)
    return file.getvalue(), numbers
