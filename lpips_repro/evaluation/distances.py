"""Distances of a method on a split, computed once and kept on disk.

A CSV a method and split (index, d0, d1, judge; or index, d, same), index counting the split's files in sorted order,
and a JSON beside it with the identity: all that the values depend on. Its hash is part of the file name, so another
setting, weights file, dataset or code version is another file.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lpips_repro.datasets.packed import IMAGE_FIELDS, VOTE_FIELD, PackedSplit
from lpips_repro.devices import fixed_shapes, read_ahead, send
from lpips_repro.distributed import Ranks
from lpips_repro.errors import UserError
from lpips_repro.evaluation.files import dtype_of, keep_damaged
from lpips_repro.files import write_whole
from lpips_repro.progress import Progress

log = logging.getLogger(__name__)

COLUMNS = {"2afc": ("d0", "d1"), "jnd": ("d",)}


@dataclass(frozen=True)
class Engine:
    """What methods run on.

    Attributes:
        device: for all of them; dtype: of networks' backbones; compiled: whether networks and SSIM are compiled.
        passes: through backbones, each shared by all methods over one backbone and version: see `Distance`.
    """

    device: torch.device
    dtype: torch.dtype = torch.float32
    compiled: bool = False
    passes: dict[tuple[str, ...], Callable[..., Tensor]] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class Distance:
    """A method ready to run.

    Attributes:
        measure: (images, others...) -> what it measures of the distance of `images` from each of the others; all
            (N, 3, H, W) in [0, 1]. The distances (len(others), N), if there is no `finish`.
        identity: all that its values depend on, beside the images.
        finish: makes the distances of that. Methods with the same `measure` share what it gives.
    """

    measure: Callable[..., Tensor]
    identity: dict[str, Any]
    finish: Callable[[Tensor], Tensor] | None = None


class DistanceStore:
    """The distances under a folder.

    Args:
        root: the folder; made when first written to.
    """

    def __init__(self, root: Path):
        self.root = root

    def load(self, label: str, identity: dict[str, Any], split: PackedSplit) -> dict[str, np.ndarray] | None:
        """The stored distances of a method on a split by column, (N,) of the saved dtype, or None if there are none.

        A damaged file is set aside with a warning, and counts as none.
        """
        path = self.path(label, identity, split)
        card = path.with_suffix(".json")
        if not card.is_file():
            return None
        columns = ("index", *COLUMNS[split.card["kind"]], VOTE_FIELD[split.card["kind"]])
        try:
            dtype = dtype_of(card)
            if path.read_text().partition("\n")[0] != ",".join(columns):
                raise ValueError(f"expected the columns {','.join(columns)}")
            values = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2, dtype=np.float64)
            if values.shape != (len(split), len(columns)):
                raise ValueError(f"expected {len(split)} rows of {len(columns)}")
        except (OSError, ValueError) as error:
            keep_damaged(path, error)
            return None
        return {name: values[:, k].astype(dtype) for k, name in enumerate(columns[1:-1], 1)}

    def save(self, label: str, identity: dict[str, Any], split: PackedSplit, distances: dict[str, np.ndarray]) -> None:
        """Write distances; the JSON comes last and tells that the CSV is whole."""
        path = self.path(label, identity, split)
        path.parent.mkdir(parents=True, exist_ok=True)
        vote = VOTE_FIELD[split.card["kind"]]
        (dtype,) = {values.dtype for values in distances.values()}
        lines = [",".join(("index", *distances, vote))]
        for index, row in enumerate(zip(*distances.values(), split.votes, strict=True)):
            # str of a NumPy number is the shortest text from which it is read back to the bit.
            lines.append(",".join((f"{index:06d}", *map(str, row))))
        write_whole(path, "\n".join(lines) + "\n")
        card = {**self._identity(identity, split), "method": label, "count": len(split), "torch": torch.__version__}
        card["values"] = str(dtype)
        write_whole(path.with_suffix(".json"), json.dumps(card, indent=2) + "\n")

    def path(self, label: str, identity: dict[str, Any], split: PackedSplit) -> Path:
        """The CSV for this method, identity and split."""
        key = hashlib.sha256(json.dumps(self._identity(identity, split), sort_keys=True).encode()).hexdigest()[:12]
        return self.root / split.card["dataset"] / split.name.replace("/", "-") / f"{label}-{key}.csv"

    def _identity(self, identity: dict[str, Any], split: PackedSplit) -> dict[str, Any]:
        card = split.card
        where = {"split": split.name, "split_digest": card["digest"], "resize": card["resize"]}
        return {**identity, **where, "observers": card["observers"]}


@torch.inference_mode()
def compute_distances(
    distances: Mapping[str, Distance],
    split: PackedSplit,
    device: torch.device,
    batch_size: int,
    ranks: Ranks | None = None,
) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, str]]:
    """Run several methods over a split, with one read of it for all.

    Args:
        distances: the methods by label.
        split: what they run over, `batch_size` examples at a time, on `device`.
        ranks: the processes that share the work: each takes every n-th batch, so that a batch is what it is in one.

    Returns:
        On every rank, by label: d0 and d1 (2AFC) or d (JND), (N,), float32 or the metric's own float64; and the fault
        of each method that has none because its metric raised an error, or returned anything but N numbers.
    """
    ranks = ranks or Ranks()
    own = range(ranks.rank * batch_size, len(split), ranks.world * batch_size)
    batches: dict[int, dict[str, Tensor]] = {}
    faults: dict[str, str] = {}
    what = next(iter(distances)) if len(distances) == 1 else f"{len(distances)} methods"
    hidden = None if ranks.first else True
    bar = Progress(total=len(split), desc=f"{what} on {split.name}", unit="example", leave=False, disable=hidden)
    with bar, fixed_shapes(device):
        for start, patches in _read_batches(split, own, batch_size):
            images = [load_batch(field, device) for field in patches]
            able = {label: distance for label, distance in distances.items() if label not in faults}
            batches[start], failed = measure_batch(able, images)
            faults |= failed
            bar.update(min(ranks.world * batch_size, len(split) - start))
    # Only now to the host, which would wait for a GPU at every batch.
    on_host = {k: {label: v.cpu() for label, v in batch.items()} for k, batch in batches.items()}
    of_ranks = ranks.gather((on_host, faults))
    in_order = [batch for _, batch in sorted(item for part, _ in of_ranks for item in part.items())]
    faults = {label: fault for _, part in reversed(of_ranks) for label, fault in part.items()}
    values = {}
    for label in distances.keys() - faults.keys():
        joined = torch.cat([batch[label] for batch in in_order], dim=1).numpy()
        missing = np.isnan(joined).any(axis=0)
        if missing.any():
            faults[label] = f"the distance of example {missing.argmax():06d} is NaN"
        else:
            values[label] = dict(zip(COLUMNS[split.card["kind"]], joined, strict=True))
    return values, faults


def _read_batches(split: PackedSplit, starts: Iterable[int], batch_size: int) -> Iterator[tuple[int, list[np.ndarray]]]:
    """The images of the batches that start at these examples, by field; read while the one before is worked on."""

    def read(start: int) -> tuple[int, list[np.ndarray]]:
        fields = IMAGE_FIELDS[split.card["kind"]]
        return start, [np.array(split.arrays[name][start : start + batch_size]) for name in fields]

    return read_ahead(read, starts)


def measure_batch(
    distances: Mapping[str, Distance], images: Sequence[Tensor]
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The distances of the first of several batches of images from each of the others, by method.

    Args:
        distances: the methods by label; images: (N, 3, H, W) each, in [0, 1].

    Returns:
        By label: (number of others, N), float32 or the metric's own float64; or the fault of a method whose metric
        raised an error or returned anything else.
    """
    found, faults, measured = {}, {}, {}
    for label, distance in distances.items():
        try:
            if distance.measure not in measured:
                measured[distance.measure] = _tried(distance.measure, images)
            values = measured[distance.measure]
            if isinstance(values, Exception):
                raise values
            values = distance.finish(values) if distance.finish else values
            found[label] = values.to(torch.promote_types(values.dtype, torch.float32))
        except Exception as error:  # whatever a metric raises: the others go on
            faults[label] = fault_of(error)
    return found, faults


def _tried(measure: Callable[..., Tensor], images: Sequence[Tensor]) -> Tensor | Exception:
    try:
        return measure(*images)
    except Exception as error:  # of all methods that share it
        return error


def of_pairs(pair: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """The `measure` of a metric of two batches of images, (N, 3, H, W) each, that gives N distances.

    It raises UserError if the metric returns anything but a tensor of N values.
    """

    def measure(images: Tensor, *others: Tensor) -> Tensor:
        found = [pair(images, other) for other in others]
        for values in found:
            if not isinstance(values, Tensor) or values.shape != (len(images),):
                wrong = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
                raise UserError(f"the metric returned {wrong}: expected a tensor of {len(images)} values")
        return torch.stack(found)

    return measure


def fault_of(error: Exception) -> str:
    """One line on an error that a metric raised; its traceback goes to the log of level DEBUG."""
    log.debug("the metric raised:", exc_info=error)
    text = str(error).strip().partition("\n")[0]
    return text if text and isinstance(error, ValueError) else ": ".join(filter(None, (type(error).__name__, text)))


def load_batch(images: np.ndarray, device: torch.device) -> Tensor:
    """Images uint8 (N, H, W, 3) as float32 (N, 3, H, W) in [0, 1] on a device."""
    # Sent as bytes, a quarter of the floats; what is memory-mapped is copied out of the map.
    return send(np.require(images, requirements="W"), device).permute(0, 3, 1, 2).float().div_(255)
