"""The real judgments next to the repository, and the distances of three methods on them."""

import csv
from pathlib import Path

import numpy as np

from lpips_repro.evaluation.protocols.twoafc import TWOAFC

SPLITS = TWOAFC.averages["all"]
METHODS = ("scratch", "st-lpips-alex", "st-lpips-vgg")


def judge_of(shared: Path, split: str) -> np.ndarray:
    """The votes of a split, float64 (N,)."""
    return _columns(_judgments(shared, split))["judge"]


def distances_of(shared: Path, method: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The distances (d0, d1) of a method by split; those of "scratch" are in the files of the judgments."""
    files = {split: shared / f"bapps_val_distances/{method}/2afc-val-{split}.csv" for split in SPLITS}
    if method == "scratch":
        files = {split: _judgments(shared, split) for split in SPLITS}
    columns = {split: _columns(file) for split, file in files.items()}
    return {split: (found["d0"], found["d1"]) for split, found in columns.items()}


def _judgments(shared: Path, split: str) -> Path:
    return shared / f"bapps_val_judgments/{split}.csv"


def _columns(file: Path) -> dict[str, np.ndarray]:
    with file.open(newline="") as content:
        rows = list(csv.DictReader(content))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
