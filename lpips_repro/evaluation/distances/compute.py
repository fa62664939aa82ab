"""Running several methods on a split, with one read of the images for all."""

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
from lpips_repro.evaluation.distances.defined import check_defined
from lpips_repro.metrics.lpips import LPIPS
from lpips_repro.progress import Progress

log = logging.getLogger(__name__)
Label = TypeVar("Label")

# Pixels per batch by default: those of 50 or 500 patches of 64 x 64, and at least two images. Metrics split batches
# further to fit a CPU's cache. A GPU needs large batches.
PIXELS = {"cpu": 50 * 64**2, "cuda": 500 * 64**2}


@dataclass(frozen=True)
class Engine:
    """The settings under which methods run.

    Attributes:
        device: the device of all methods; dtype: dtype of backbones; compiled: whether to compile networks and SSIM.
        passes: passes through backbones, each shared by all methods with one backbone and version: `measure` of
            `Distance`, and the first metric.
        features: the folder of channel means that training stores, which replace a pass if they exist.
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
    """A method that is ready to run.

    Attributes:
        measure: function (images, others...) of batches (N, 3, H, W) in [0, 1]. It returns the distances between images
            and each other batch, (len(others), N), or values that `finish` converts to them.
        identity: everything that its values depend on, except the images.
        finish: converts the result of `measure` to distances. Methods with the same `measure` share its result.
        stored: returns the stored result of `measure` for a split, (items, len(others), ...), or None.
        lpips: for an LPIPS, the first metric with the same pass, and this method's head (C,).
        measures_value: whether `measure` returns the metric's own values, such as SSIM.
        of_equal: the distance of equal images, if it is known: minus infinity for PSNR.
    """

    measure: Callable[..., Tensor]
    identity: dict[str, Any]
    finish: Callable[[Tensor], Tensor] | None = None
    stored: Callable[[Split], np.ndarray | None] | None = None
    lpips: tuple[LPIPS, Tensor] | None = None
    measures_value: bool = False
    of_equal: float | None = None


def batches_of(split: Split, device: torch.device, size: int | None = None, start: int = 0) -> list[range]:
    """The batches of a split from item `start` on, of at most `size` items; None: a size that suits the images."""
    return split.batches(start, size or max(2, PIXELS[device.type] // split.pixels))


@torch.inference_mode()
def compute_distances(
    distances: Mapping[str, Distance],
    split: Split,
    device: torch.device,
    batches: Sequence[range],
    ranks: Ranks | None = None,
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Run several methods on consecutive batches of a split, with one read of the images for all.

    Args:
        distances: the methods by label.
        split: the split; device: the device to run on; batches: some batches of the split, from `batches_of`.
        ranks: the processes that share the work. Each takes every n-th batch, so that batches do not change.

    Returns:
        On every rank, by label: the distances (columns, items), float32 (float64 of metrics that return that, or
        integers); and the errors of methods whose metric raised an error or did not return numbers.
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
    # Copied to the host only here, since each copy waits for a GPU.
    on_host = {k: {label: v.cpu() for label, v in batch.items()} for k, batch in found.items()}
    of_ranks = ranks.gather((on_host, faults))
    in_order = [batch for _, batch in sorted(item for part, _ in of_ranks for item in part.items())]
    faults = {label: fault for _, part in reversed(of_ranks) for label, fault in part.items()}
    values = {}
    for label in [label for label in distances if label not in faults]:
        joined = torch.cat([batch[label] for batch in in_order], dim=1).numpy()
        try:
            check_defined(joined, split, batches[0].start)
        except UserError as error:
            faults[label] = str(error)
        else:
            values[label] = joined
    return values, faults


def _stored(distances: Mapping[str, Distance], split: Split, *, said: bool) -> dict[Callable[..., Tensor], np.ndarray]:
    """The stored results of the methods' `measure` on a split, by `measure`."""
    looked_up = {distance.measure: distance.stored for distance in distances.values() if distance.stored}
    found = {measure: values for measure, look in looked_up.items() if (values := look(split)) is not None}
    labels = [label for label, distance in distances.items() if distance.measure in found]
    if labels and said:
        log.info("%s: the distances of %s use features that training stored", split.name, ", ".join(labels))
    return found


def measure_batch(
    distances: Mapping[Label, Distance],
    images: Sequence[Tensor],
    known: Mapping[Callable[..., Tensor], Tensor] | None = None,
) -> tuple[dict[Label, Tensor], dict[Label, str]]:
    """The distances between the first batch of images and each other one, by method.

    Args:
        distances: the methods by label; images: batches (N, 3, H, W) in [0, 1].
        known: known results of some methods' `measure`, for which images are not needed, by `measure`.

    Returns:
        By label: distances (number of others, N), float32 (float64 of metrics that return that, or integers);
        and the errors of methods whose metric raised an error or did not return numbers.
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
            # Integers above 2^24 would be rounded, and tie, in float32.
            least = torch.float32 if values.is_floating_point() else torch.float64
            found[label] = values.to(torch.promote_types(values.dtype, least))
        except Terminated:
            raise
        except (Exception, SystemExit) as error:  # a metric may raise anything: the other methods continue
            faults[label] = fault_of(error)
    return found, faults


def _tried(measure: Callable[..., Tensor], images: Sequence[Tensor]) -> Tensor | BaseException:
    try:
        return measure(*images)
    except Terminated:
        raise
    except (Exception, SystemExit) as error:  # for all methods that share it
        return error


def of_pairs(
    pair: Callable[[Tensor, Tensor], Tensor],
    to_distance: Callable[[Tensor], Tensor] | None = None,
    *,
    copied: bool = False,
) -> Callable[..., Tensor]:
    """The `measure` of a metric, a function of two batches of images (N, 3, H, W) that returns N values.

    It raises UserError if the metric does not return a tensor of N numbers.

    Args:
        pair: the metric; to_distance: converts its values to distances, if needed; copied: pass copies of the images,
            which the metric may change.
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
    """The `finish` of a metric, with a function that converts the values of `of_pairs` to distances.

    It raises UserError as `of_pairs`.
    """

    def finish(measured: Tensor) -> Tensor:
        found = [to_distance(values) for values in measured]
        for distances in found:
            _check_values(distances, measured.shape[1])
        return torch.stack(found)

    return finish


def _check_values(values: Any, count: int) -> None:
    """Raise UserError unless values are a tensor of `count` real numbers."""
    is_tensor = isinstance(values, Tensor)
    if not is_tensor or values.shape != (count,):
        wrong = tuple(values.shape) if is_tensor else type(values).__name__
        raise UserError(f"the metric returned {wrong}: expected a tensor of {count} values")
    if values.is_complex() or values.is_meta:
        raise UserError(f"the metric returned {values.dtype} on {values.device}: expected real numbers")


def fault_of(error: BaseException) -> str:
    """An error of a metric as one line. Its traceback is logged at DEBUG."""
    log.debug("the metric raised:", exc_info=error)
    text = str(error).strip().partition("\n")[0]
    return text if text and isinstance(error, ValueError) else ": ".join(filter(None, (type(error).__name__, text)))


def load_batch(images: np.ndarray, device: torch.device) -> Tensor:
    """Images uint8 (N, H, W, 3) as float32 (N, 3, H, W) in [0, 1] on a device."""
    # Sent as bytes, a quarter of the size of floats. Memory-mapped images are copied.
    return send(np.require(images, requirements="W"), device).permute(0, 3, 1, 2).float().div_(255)
