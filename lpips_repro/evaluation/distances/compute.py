"""Methods ready to run, and what they compute on a split: several at once, with one read of the images for all."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from lpips_repro.datasets.split import Split
from lpips_repro.devices import fixed_shapes, read_ahead, send
from lpips_repro.distributed import Ranks
from lpips_repro.errors import Terminated, UserError
from lpips_repro.metrics.lpips import LPIPS
from lpips_repro.progress import Progress

log = logging.getLogger(__name__)
Label = TypeVar("Label")

# At once, by default: those of 50 and of 500 patches of 64 pixels a side; but two images at least. Metrics split them
# further where a CPU's cache is smaller; a GPU wants many.
PIXELS = {"cpu": 50 * 64**2, "cuda": 500 * 64**2}


@dataclass(frozen=True)
class Engine:
    """What methods run on.

    Attributes:
        device: for all of them; dtype: of networks' backbones; compiled: whether networks and SSIM are compiled.
        passes: through backbones, each shared by all methods over one backbone and version: `measure` of `Distance`,
            and the first of the metrics.
        features: folder of the channel means that training stores, which save a pass if they are there.
    """

    device: torch.device
    dtype: torch.dtype = torch.float32
    compiled: bool = False
    passes: dict[tuple[str, ...], tuple[Callable[..., Tensor], LPIPS]] = field(
        default_factory=dict, repr=False, compare=False
    )
    features: Path | None = None


@dataclass(frozen=True)
class Distance:
    """A method ready to run.

    Attributes:
        measure: (images, others...) -> what it measures of the distance of `images` from each of the others; all
            (N, 3, H, W) in [0, 1]. The distances (len(others), N), if there is no `finish`.
        identity: all that its values depend on, beside the images.
        finish: makes the distances of that. Methods with the same `measure` share what it gives.
        stored: what `measure` would give for a split, (items, len(others), ...), if it is stored, else None.
        lpips: of an LPIPS, for what else it can do: the first metric with the same pass, and its own head (C,).
        measures_value: whether `measure` gives the metric's own values, such as SSIM, and `finish` the distances.
        of_equal: the distance of equal images, if it is known: minus infinity of a PSNR.
    """

    measure: Callable[..., Tensor]
    identity: dict[str, Any]
    finish: Callable[[Tensor], Tensor] | None = None
    stored: Callable[[Split], np.ndarray | None] | None = None
    lpips: tuple[LPIPS, Tensor] | None = None
    measures_value: bool = False
    of_equal: float | None = None


def batches_of(split: Split, device: torch.device, size: int | None = None, start: int = 0) -> list[range]:
    """The batches of a split from an item on, of `size` items at most; None: of what suits images of their size."""
    return split.batches(start, size or max(2, PIXELS[device.type] // split.pixels))


@torch.inference_mode()
def compute_distances(
    distances: Mapping[str, Distance],
    split: Split,
    device: torch.device,
    batches: Sequence[range],
    ranks: Ranks | None = None,
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Run several methods over consecutive batches of a split, with one read of the images for all.

    Args:
        distances: the methods by label.
        split: what they run over, on `device`; batches: some of its batches, see `batches_of`.
        ranks: the processes that share the work: each takes every n-th batch, so that a batch is what it is in one.

    Returns:
        On every rank, by label: one row per distance (distances, items), float32 or the metric's own float64; and the
        fault of each method that has none because its metric raised an error, or returned anything but numbers.
    """
    ranks = ranks or Ranks()
    stored = _stored(distances, split, said=ranks.first and batches[0].start == 0)
    need_images = any(distance.measure not in stored for distance in distances.values())

    def read(items: range) -> tuple[range, list[np.ndarray]]:
        return items, split.read(items) if need_images else []

    own = batches[ranks.rank :: ranks.world]
    found: dict[int, dict[str, Tensor]] = {}
    faults: dict[str, str] = {}
    what = next(iter(distances)) if len(distances) == 1 else f"{len(distances)} methods"
    bar = Progress(
        desc=f"{what} on {split.name}",
        total=len(split),
        initial=batches[0].start,
        unit=split.item,
        leave=False,
        disable=None if ranks.first else True,
    )
    with bar, fixed_shapes(device):
        for number, (items, arrays) in enumerate(read_ahead(read, own)):
            able = {label: distance for label, distance in distances.items() if label not in faults}
            rows = slice(items.start, items.stop)
            known = {one: send(np.array(values[rows]), device).transpose(0, 1) for one, values in stored.items()}
            measured, failed = measure_batch(able, [load_batch(array, device) for array in arrays], known)
            found[items.start] = {label: split.in_order(one, items) for label, one in measured.items()}
            faults |= failed
            bar.update(sum(map(len, batches[number * ranks.world : (number + 1) * ranks.world])))
    # Only now to the host, which would wait for a GPU at every batch.
    on_host = {k: {label: v.cpu() for label, v in batch.items()} for k, batch in found.items()}
    of_ranks = ranks.gather((on_host, faults))
    in_order = [batch for _, batch in sorted(item for part, _ in of_ranks for item in part.items())]
    faults = {label: fault for _, part in reversed(of_ranks) for label, fault in part.items()}
    values = {}
    for label in [label for label in distances if label not in faults]:
        joined = torch.cat([batch[label] for batch in in_order], dim=1).numpy()
        missing = np.isnan(joined).any(axis=0)
        if missing.any():
            faults[label] = (
                f"the distance of {split.item} {split.keys[batches[0].start + int(missing.argmax())]} is NaN"
            )
        else:
            values[label] = joined
    return values, faults


def _stored(distances: Mapping[str, Distance], split: Split, *, said: bool) -> dict[Callable[..., Tensor], np.ndarray]:
    """What is stored of what the methods measure on a split, by their `measure`."""
    looked_up = {distance.measure: distance.stored for distance in distances.values() if distance.stored}
    found = {measure: values for measure, look in looked_up.items() if (values := look(split)) is not None}
    labels = [label for label, distance in distances.items() if distance.measure in found]
    if labels and said:
        log.info("%s: the distances of %s come from features that training stored", split.name, ", ".join(labels))
    return found


def measure_batch(
    distances: Mapping[Label, Distance],
    images: Sequence[Tensor],
    known: Mapping[Callable[..., Tensor], Tensor] | None = None,
) -> tuple[dict[Label, Tensor], dict[Label, str]]:
    """The distances of the first of several batches of images from each of the others, by method.

    Args:
        distances: the methods by label; images: (N, 3, H, W) each, in [0, 1].
        known: what some of the methods measure on these images, which then are not needed, by `measure`.

    Returns:
        By label: (number of others, N), float32 or the metric's own float64; or the fault of a method whose metric
        raised an error or returned anything else.
    """
    found: dict[Label, Tensor] = {}
    faults: dict[Label, str] = {}
    measured: dict[Callable[..., Tensor], Tensor | BaseException] = {**(known or {})}
    for label, distance in distances.items():
        try:
            if distance.measure not in measured:
                measured[distance.measure] = _tried(distance.measure, images)
            values = measured[distance.measure]
            if isinstance(values, BaseException):
                raise values
            values = distance.finish(values) if distance.finish else values
            found[label] = values.to(torch.promote_types(values.dtype, torch.float32))
        except Terminated:
            raise
        except (Exception, SystemExit) as error:  # whatever a metric raises: the others go on
            faults[label] = fault_of(error)
    return found, faults


def _tried(measure: Callable[..., Tensor], images: Sequence[Tensor]) -> Tensor | BaseException:
    try:
        return measure(*images)
    except Terminated:
        raise
    except (Exception, SystemExit) as error:  # of all methods that share it
        return error


def of_pairs(
    pair: Callable[[Tensor, Tensor], Tensor],
    to_distance: Callable[[Tensor], Tensor] | None = None,
    *,
    copied: bool = False,
) -> Callable[..., Tensor]:
    """The `measure` of a metric of two batches of images, (N, 3, H, W) each, that gives N values.

    It raises UserError if the metric returns anything but a tensor of N numbers.

    Args:
        pair: the metric; to_distance: makes distances of its values, if they are none; copied: give it copies, which
            it may change.
    """

    def measure(images: Tensor, *others: Tensor) -> Tensor:
        found = []
        for other in others:
            values = pair(images.clone(), other.clone()) if copied else pair(images, other)
            values = to_distance(values) if to_distance else values
            _check_values(values, len(images))
            found.append(values)
        return torch.stack(found)

    return measure


def distances_of(to_distance: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The `finish` of a metric whose values, as `of_pairs` measures them, a function makes distances of.

    It raises UserError as `of_pairs` does.
    """

    def finish(measured: Tensor) -> Tensor:
        found = [to_distance(values) for values in measured]
        for distances in found:
            _check_values(distances, measured.shape[1])
        return torch.stack(found)

    return finish


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
