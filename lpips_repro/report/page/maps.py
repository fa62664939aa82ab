"""Maps of where a network sees a difference between two images, for chosen examples."""

import functools
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances.compute import Distance, Engine
from lpips_repro.evaluation.methods.find import find_method
from lpips_repro.evaluation.methods.finished_runs import find_runs
from lpips_repro.evaluation.methods.method import Method
from lpips_repro.evaluation.methods.trained import method_of_run
from lpips_repro.evaluation.tables.table import Row
from lpips_repro.metrics.lpips import LPIPS
from lpips_repro.report.page.examples import Examples
from lpips_repro.report.page.sprites import Sheet, layout_of, sheets_of
from lpips_repro.report.stored_distances import FIRST, is_value_of_seed

log = logging.getLogger(__name__)

# Largest relative difference of the mean of a map from the stored distance: larger than that between devices or data
# types, smaller than that between weights.
TOLERANCE = 1e-3
BATCH = 8


@dataclass(frozen=True)
class Maps:
    """The maps of a network: its row of the table, and the files by split."""

    row: Row
    sheets: Mapping[str, Sequence[Sheet]]


def maps_of(examples: Examples, indices: Mapping[str, np.ndarray], experiments: Path, download: bool) -> Maps | None:
    """Return the maps of some examples by the network with the best score that can be run, or None if there is none.

    Args:
        examples: votes and distances.
        indices: indices of the examples with maps, by split.
        experiments: folder of training runs.
        download: whether to download missing weights.
    """
    if not any(map(len, indices.values())):
        return None
    for place in _best_first(examples):
        row, _ = examples.methods[place]
        try:
            metric = _network(row, experiments, download)
            _check(metric, examples, indices, place)
        except UserError as error:
            log.info("no maps of %s: %s", row.label, error)
            continue
        identity = {"maps of": hashlib.sha256(json.dumps(row.settings, default=str).encode()).hexdigest()}
        sheets = {
            split.name: sheets_of(
                *(split, indices[split.name], layout_of(split.size[0], 2 * split.size[1])),
                *(functools.partial(_render, metric, split), identity),
                numbered=True,
            )
            for split in examples.splits
        }
        return Maps(row, sheets)
    return None


def _best_first(examples: Examples) -> Iterator[int]:
    """The indices of the networks among the methods, the best score first."""
    rows = [row for row, _ in examples.methods]
    networks = [place for place, row in enumerate(rows) if "backbone" in row.settings]
    yield from sorted(networks, key=lambda place: -rows[place].scores.get("all", 0.0))


def _network(row: Row, experiments: Path, download: bool) -> LPIPS:
    """The network of a row, or of its first seed; UserError if it cannot be run."""
    distance = _method(row, experiments, download).build(Engine(torch.device("cpu")))
    if not isinstance(distance, Distance) or distance.lpips is None:
        raise UserError("not a network")
    if not all(is_value_of_seed(row.settings.get(key), FIRST, distance.identity[key]) for key in ("weights", "lin")):
        raise UserError("its weights differ from those of the table")
    metric = distance.lpips[0]
    metric.spatial = True
    return metric


def _method(row: Row, experiments: Path, download: bool) -> Method:
    if not row.run:
        return find_method(name_of(row), download=download)
    name = row.run.split()[FIRST]
    for run in find_runs(experiments):
        if run.folder.name == name:
            return method_of_run(run, row.supervision)
    raise UserError(f"{experiments / name}: no finished run")


def name_of(row: Row) -> str:
    """The name by which `find_method` and the command know the network of a row that no run trained.

    It is the label, except for networks of timm: their labels have `-` instead of `/` and `.`.
    """
    backbone = str(row.settings["backbone"])
    return f"{backbone}-{row.variant}-v{row.version}" if backbone.startswith("timm/") else row.label


def _check(metric: LPIPS, examples: Examples, indices: Mapping[str, np.ndarray], place: int) -> None:
    """UserError if the mean of a map differs from the stored distance."""
    split = next(split for split in examples.splits if len(indices[split.name]))
    index = indices[split.name][:1]
    found = _distances(metric, split, index)[0].mean(axis=(1, 2))
    stored = [float(values[index[0]]) for values in examples.methods[place][1][split.name]]
    if not np.allclose(found, stored, rtol=TOLERANCE, atol=1e-6):
        raise UserError(f"the means of its maps are {found.tolist()}, the stored distances {stored}")


def _render(metric: LPIPS, split: PackedSplit, indices: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """Both maps of each example side by side, in colors from 0 to their largest value, and the largest values."""
    cells, largest = [], []
    for start in range(0, len(indices), BATCH):
        for pair in _distances(metric, split, indices[start : start + BATCH]):
            top = float(pair.max())
            pixels = np.round(255 * pair / top) if top > 0 else pair
            colors = cv2.applyColorMap(np.concatenate([*pixels], axis=1).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
            cells.append(colors[..., ::-1])
            largest.append(top)
    return np.stack(cells), largest


@torch.inference_mode()
def _distances(metric: LPIPS, split: PackedSplit, indices: np.ndarray) -> np.ndarray:
    """The distance maps of p0 and p1 from the reference, float32 (n, 2, H, W)."""
    ref, *others = (_batch(split.arrays[name][indices]) for name in ("ref", "p0", "p1"))
    return torch.cat([metric(ref, other, normalize=True) for other in others], dim=1).numpy()


def _batch(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
