"""Methods ready to run, and what they compute on a split: several at once, with one read of the images for all."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.devices import fixed_shapes, read_ahead, send
from lpips_repro.distributed import Ranks
from lpips_repro.errors import UserError
from lpips_repro.evaluation.protocols import protocol_of
from lpips_repro.progress import Progress

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Engine:
    """What methods run on.

    Attributes:
        device: for all of them; dtype: of networks' backbones; compiled: whether networks and SSIM are compiled.
        passes: through backbones, each shared by all methods over one backbone and version: see `Distance`.
        features: folder of the channel means that training stores, which save a pass if they are there.
    """

    device: torch.device
    dtype: torch.dtype = torch.float32
    compiled: bool = False
    passes: dict[tuple[str, ...], Callable[..., Tensor]] = field(default_factory=dict, repr=False, compare=False)
    features: Path | None = None


@dataclass(frozen=True)
class Distance:
    """A method ready to run.

    Attributes:
        measure: (images, others...) -> what it measures of the distance of `images` from each of the others; all
            (N, 3, H, W) in [0, 1]. The distances (len(others), N), if there is no `finish`.
        identity: all that its values depend on, beside the images.
        finish: makes the distances of that. Methods with the same `measure` share what it gives.
        stored: what `measure` would give for a split, (N, len(others), ...), if it is stored, else None.
    """

    measure: Callable[..., Tensor]
    identity: dict[str, Any]
    finish: Callable[[Tensor], Tensor] | None = None
    stored: Callable[[PackedSplit], np.ndarray | None] | None = None


@torch.inference_mode()
def compute_distances(
    distances: Mapping[str, Distance],
    split: PackedSplit,
    device: torch.device,
    batch_size: int,
    ranks: Ranks | None = None,
    examples: range | None = None,
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Run several methods over a split, with one read of it for all.

    Args:
        distances: the methods by label.
        split: what they run over, `batch_size` examples at a time, on `device`.
        ranks: the processes that share the work: each takes every n-th batch, so that a batch is what it is in one.
        examples: which of the split, without gaps; all by default.

    Returns:
        On every rank, by label: d0 and d1 (2AFC) or d (JND), (2 or 1, examples), float32 or the metric's own float64;
        and the fault of each method that has none because its metric raised an error, or returned anything but numbers.
    """
    ranks, examples = ranks or Ranks(), examples or range(len(split))
    values = ranks.from_first(_finish_stored(distances, split, device, batch_size, examples) if ranks.first else {})
    others = {label: distance for label, distance in distances.items() if label not in values}
    computed, faults = _measure_split(others, split, device, batch_size, ranks, examples)
    values |= computed
    for label in list(values):
        missing = np.isnan(values[label]).any(axis=0)
        if missing.any():
            faults[label] = f"the distance of example {examples.start + missing.argmax():06d} is NaN"
            del values[label]
    return values, faults


def _finish_stored(
    distances: Mapping[str, Distance], split: PackedSplit, device: torch.device, batch_size: int, examples: range
) -> dict[str, np.ndarray]:
    """The distances of the methods of which it is stored what they measure, without a pass over the images."""
    stored: dict[Callable[..., Tensor], np.ndarray | None] = {}
    for distance in distances.values():
        if distance.stored and distance.measure not in stored:
            stored[distance.measure] = distance.stored(split)
    means = {measure: found for measure, found in stored.items() if found is not None}
    values: dict[str, list[Tensor]] = {}
    for start in range(examples.start, examples.stop, batch_size):
        part = slice(start, min(start + batch_size, examples.stop))
        parts = {measure: send(np.array(found[part]), device).transpose(0, 1) for measure, found in means.items()}
        for label, distance in distances.items():
            if distance.finish and distance.measure in parts:
                values.setdefault(label, []).append(distance.finish(parts[distance.measure]).cpu())
    if values:
        log.info("%s: the distances of %s come from features that training stored", split.name, ", ".join(values))
    return {label: torch.cat(of_parts, dim=1).numpy() for label, of_parts in values.items()}


def _measure_split(
    distances: Mapping[str, Distance],
    split: PackedSplit,
    device: torch.device,
    batch_size: int,
    ranks: Ranks,
    examples: range,
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """As `compute_distances`, from the images; values may be NaN."""
    if not distances:
        return {}, {}
    own = examples[ranks.rank * batch_size :: ranks.world * batch_size]
    batches: dict[int, dict[str, Tensor]] = {}
    faults: dict[str, str] = {}
    what = next(iter(distances)) if len(distances) == 1 else f"{len(distances)} methods"
    hidden = None if ranks.first else True
    bar = Progress(
        desc=f"{what} on {split.name}",
        total=len(split),
        initial=examples.start,
        unit="example",
        leave=False,
        disable=hidden,
    )
    with bar, fixed_shapes(device):
        for start, patches in _read_batches(split, own, examples.stop, batch_size):
            images = [load_batch(field, device) for field in patches]
            able = {label: distance for label, distance in distances.items() if label not in faults}
            batches[start], failed = measure_batch(able, images)
            faults |= failed
            bar.update(min(ranks.world * batch_size, examples.stop - start))
    # Only now to the host, which would wait for a GPU at every batch.
    on_host = {k: {label: v.cpu() for label, v in batch.items()} for k, batch in batches.items()}
    of_ranks = ranks.gather((on_host, faults))
    in_order = [batch for _, batch in sorted(item for part, _ in of_ranks for item in part.items())]
    faults = {label: fault for _, part in reversed(of_ranks) for label, fault in part.items()}
    labels = distances.keys() - faults.keys()
    return {label: torch.cat([batch[label] for batch in in_order], dim=1).numpy() for label in labels}, faults


def _read_batches(
    split: PackedSplit, starts: Iterable[int], stop: int, batch_size: int
) -> Iterator[tuple[int, list[np.ndarray]]]:
    """The images of the batches that start at these examples, by field; read while the one before is worked on."""

    def read(start: int) -> tuple[int, list[np.ndarray]]:
        stops = min(start + batch_size, stop)
        return start, [np.array(split.arrays[name][start:stops]) for name in protocol_of(split).images]

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
            if isinstance(values, BaseException):
                raise values
            values = distance.finish(values) if distance.finish else values
            found[label] = values.to(torch.promote_types(values.dtype, torch.float32))
        except (Exception, SystemExit) as error:  # whatever a metric raises: the others go on
            faults[label] = fault_of(error)
    return found, faults


def _tried(measure: Callable[..., Tensor], images: Sequence[Tensor]) -> Tensor | BaseException:
    try:
        return measure(*images)
    except (Exception, SystemExit) as error:  # of all methods that share it
        return error


def of_pairs(pair: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """The `measure` of a metric of two batches of images, (N, 3, H, W) each, that gives N distances.

    It raises UserError if the metric returns anything but a tensor of N values.
    """

    def measure(images: Tensor, *others: Tensor) -> Tensor:
        found = [pair(images, other) for other in others]
        for values in found:
            _check_values(values, len(images))
        return torch.stack(found)

    return measure


def _check_values(values: Any, count: int) -> None:
    """UserError unless what a metric returned is a tensor of so many numbers."""
    is_tensor = isinstance(values, Tensor)
    if not is_tensor or values.shape != (count,):
        wrong = tuple(values.shape) if is_tensor else type(values).__name__
        raise UserError(f"the metric returned {wrong}: expected a tensor of {count} values")
    if values.is_complex() or values.is_meta:
        raise UserError(f"the metric returned {values.dtype} on {values.device}: expected real numbers")


def fault_of(error: BaseException) -> str:
    """One line on an error that a metric raised; its traceback goes to the log of level DEBUG."""
    log.debug("the metric raised:", exc_info=error)
    text = str(error).strip().partition("\n")[0]
    return text if text and isinstance(error, ValueError) else ": ".join(filter(None, (type(error).__name__, text)))


def load_batch(images: np.ndarray, device: torch.device) -> Tensor:
    """Images uint8 (N, H, W, 3) as float32 (N, 3, H, W) in [0, 1] on a device."""
    # Sent as bytes, a quarter of the floats; what is memory-mapped is copied out of the map.
    return send(np.require(images, requirements="W"), device).permute(0, 3, 1, 2).float().div_(255)
