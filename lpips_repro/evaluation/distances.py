"""Distances of a method on a split, computed once and kept on disk.

A CSV a method and split (index, d0, d1, judge; or index, d, same), index counting the split's files in sorted order,
and a JSON beside it with the identity: all that the values depend on. Its hash is part of the file name, so another
setting, weights file, dataset or code version is another file.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from lpips_repro.datasets.packed import IMAGE_FIELDS, VOTE_FIELD, PackedSplit
from lpips_repro.devices import fixed_shapes, read_ahead, send
from lpips_repro.distributed import Ranks
from lpips_repro.errors import UserError

COLUMNS = {"2afc": ("d0", "d1"), "jnd": ("d",)}


@dataclass(frozen=True)
class Engine:
    """What methods run on.

    Attributes:
        device: for all of them; dtype: of networks' backbones; compiled: whether networks and SSIM are compiled.
    """

    device: torch.device
    dtype: torch.dtype = torch.float32
    compiled: bool = False


@dataclass(frozen=True)
class Distance:
    """A method ready to run.

    Attributes:
        triplet: (ref, p0, p1) -> (d0, d1); pair: (p0, p1) -> d; images (N, 3, H, W) in [0, 1], N distances each.
        identity: all that its values depend on, beside the images.
    """

    triplet: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
    pair: Callable[[Tensor, Tensor], Tensor]
    identity: dict[str, Any]


class DistanceStore:
    """The distances under a folder.

    Args:
        root: the folder; made when first written to.
    """

    def __init__(self, root: Path):
        self.root = root

    def load(self, label: str, identity: dict[str, Any], split: PackedSplit) -> dict[str, np.ndarray] | None:
        """The stored distances of a method on a split by column, float32 (N,), or None where there are none.

        Raises:
            UserError: where the file is damaged.
        """
        path = self.path(label, identity, split)
        if not path.with_suffix(".json").is_file():
            return None
        columns = ("index", *COLUMNS[split.card["kind"]], VOTE_FIELD[split.card["kind"]])
        try:
            if path.read_text().partition("\n")[0] != ",".join(columns):
                raise ValueError(f"expected the columns {','.join(columns)}")
            values = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2, dtype=np.float64)
            if values.shape != (len(split), len(columns)):
                raise ValueError(f"expected {len(split)} rows of {len(columns)}")
        except (OSError, ValueError) as error:
            raise UserError(
                f"{path}: damaged distances ({error}): delete it and its .json to compute them anew"
            ) from error
        return {name: values[:, k].astype(np.float32) for k, name in enumerate(columns[1:-1], 1)}

    def save(self, label: str, identity: dict[str, Any], split: PackedSplit, distances: dict[str, np.ndarray]) -> None:
        """Write distances; the JSON comes last and tells that the CSV is whole."""
        path = self.path(label, identity, split)
        path.parent.mkdir(parents=True, exist_ok=True)
        vote = VOTE_FIELD[split.card["kind"]]
        lines = [",".join(("index", *distances, vote))]
        for index, row in enumerate(zip(*distances.values(), split.votes, strict=True)):
            lines.append(f"{index:06d}," + ",".join(f"{value:.9g}" for value in row))  # 9 digits keep a float32
        write_whole(path, "\n".join(lines) + "\n")
        card = {**self._identity(identity, split), "method": label, "count": len(split), "torch": torch.__version__}
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
    faults: dict[str, str] | None = None,
) -> dict[str, dict[str, np.ndarray]]:
    """Run several methods over a split, with one read of it for all.

    Args:
        distances: the methods by label.
        split: what they run over, `batch_size` examples at a time, on `device`.
        ranks: the processes that share the work: each takes every n-th batch, so that a batch is what it is in one.
        faults: takes what a method raised, by its label, on every rank, and the others go on; None: it is raised.

    Returns:
        by label, on every rank: d0 and d1 (2AFC) or d (JND), float32 (N,); nothing for a method with a fault.

    Raises:
        UserError: where a metric returns anything but N values.
    """
    ranks = ranks or Ranks()
    own = range(ranks.rank * batch_size, len(split), ranks.world * batch_size)
    batches: dict[int, dict[str, Tensor]] = {}
    failed: dict[str, str] = {}
    what = next(iter(distances)) if len(distances) == 1 else f"{len(distances)} methods"
    hidden = None if ranks.first else True
    bar = tqdm(total=len(split), desc=f"{what} on {split.name}", unit="example", leave=False, disable=hidden)
    with bar, fixed_shapes(device):
        for start, patches in _read_batches(split, own, batch_size):
            batches[start] = {}
            images = [load_batch(field, device) for field in patches]
            for label in [label for label in distances if label not in failed]:
                try:
                    batches[start][label] = _of_batch(distances[label], images, f"{label} on {split.name}")
                except Exception as error:  # a metric may be the user's own, and raises whatever it does
                    if faults is None or isinstance(error, UserError):
                        raise
                    failed[label] = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            bar.update(min(ranks.world * batch_size, len(split) - start))
    # Only now to the host, which would wait for a GPU at every batch.
    own_batches = {k: {label: v.cpu() for label, v in batch.items()} for k, batch in batches.items()}
    of_ranks = ranks.gather((own_batches, failed))
    for _, failed in reversed(of_ranks) if faults is not None else ():
        faults.update(failed)
    in_order = [batch for _, batch in sorted(item for part, _ in of_ranks for item in part.items())]
    names = COLUMNS[split.card["kind"]]
    able = [label for label in distances if label not in (faults or ())]
    joined = {label: torch.cat([batch[label] for batch in in_order], dim=1).numpy() for label in able}
    return {label: dict(zip(names, values, strict=True)) for label, values in joined.items()}


def _of_batch(distance: Distance, images: list[Tensor], what: str) -> Tensor:
    """The distances (2 or 1, N) of a batch of triplets or pairs."""
    values = distance.triplet(*images) if len(images) == 3 else (distance.pair(*images),)
    for found in values:
        check_shape(found, len(images[0]), what)
    return torch.stack(values).float()


def _read_batches(split: PackedSplit, starts: Iterable[int], batch_size: int) -> Iterator[tuple[int, list[np.ndarray]]]:
    """The images of the batches that start at these examples, by field; read while the one before is worked on."""

    def read(start: int) -> tuple[int, list[np.ndarray]]:
        fields = IMAGE_FIELDS[split.card["kind"]]
        return start, [np.array(split.arrays[name][start : start + batch_size]) for name in fields]

    return read_ahead(read, starts)


def check_numbers(distances: Mapping[str, np.ndarray], what: str) -> None:
    """UserError where a distance of a method on a split is NaN, naming the first example."""
    missing = np.isnan(list(distances.values())).any(axis=0)
    if missing.any():
        raise UserError(f"{what}: the distance of example {missing.argmax():06d} is NaN: a fault of the metric")


def check_shape(values: Any, count: int, what: str) -> None:
    """UserError where what a metric returned is not a tensor of `count` values."""
    if not isinstance(values, Tensor) or values.shape != (count,):
        found = getattr(values, "shape", type(values).__name__)
        raise UserError(f"{what}: the metric returned {found}: expected a tensor of N values")


def load_batch(images: np.ndarray, device: torch.device) -> Tensor:
    """Images uint8 (N, H, W, 3) as float32 (N, 3, H, W) in [0, 1] on a device."""
    # Sent as bytes, a quarter of the floats; what is memory-mapped is copied out of the map.
    return send(np.require(images, requirements="W"), device).permute(0, 3, 1, 2).float().div_(255)


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there as a whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(text)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
