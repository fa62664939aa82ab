"""Evaluate one method on one split, from Python.

    from lpips_repro.evaluation import evaluate

    result = evaluate(lambda x, y: (x - y).abs().mean(dim=(1, 2, 3)), "mini/val/traditional")
    result                      # score, 95 % interval, number of examples and kind of observers
    result.distances["d0"]      # from p0 to the reference, (N,)

The score and its interval equal those in the method's row of the tables.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lpips_repro.config import Device
from lpips_repro.config.checks import check_at_least, check_seed
from lpips_repro.datasets.find import find_split
from lpips_repro.datasets.split import Split
from lpips_repro.devices import why_no_cuda
from lpips_repro.errors import UserError, check_choice
from lpips_repro.evaluation.distances.compute import (
    PIXELS,
    Distance,
    Engine,
    batches_of,
    compute_distances,
    load_batch,
    of_pairs,
)
from lpips_repro.evaluation.distances.precomputed import PrecomputedDistances
from lpips_repro.evaluation.methods.find import find_method
from lpips_repro.evaluation.methods.method import Method
from lpips_repro.evaluation.protocols import PROTOCOLS, Protocol, protocol_of
from lpips_repro.evaluation.tables.table import Bootstrap
from lpips_repro.evaluation.usable_splits import usable_splits
from lpips_repro.metrics import METRICS
from lpips_repro.metrics.lpips import LPIPS
from lpips_repro.metrics.lpips.channels import weighted_sum
from lpips_repro.runs.device import choose_device

log = logging.getLogger(__name__)

# Layers that behave differently in training mode.
DRAWING = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm)
TRIED = 2  # examples on which a function is tried first: its exceptions are raised unchanged


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The score of a method on a split.

    Attributes:
        label: the method's, such as the name of a function; split: the split it ran on; protocol: how it was scored.
        score: a fraction in [0, 1] for 2AFC and JND; Spearman's correlation for mean opinion scores.
        interval: ends of its 95 % bootstrap interval, the same as in the tables; NaN if it has none.
        distances: by name, each (N,): d0 and d1 for 2AFC, d for JND, distance for mean opinion scores.
    """

    label: str
    split: Split
    protocol: Protocol
    score: float
    interval: tuple[float, float]
    distances: dict[str, np.ndarray] = field(repr=False)

    @property
    def n(self) -> int:
        """The number of examples."""
        return len(self.split)

    @property
    def votes(self) -> np.ndarray:
        """The observers' answers, (N,): for 2AFC the fraction who chose p1."""
        return self.split.votes

    @property
    def credits(self) -> np.ndarray | None:
        """The score of each example, (N,), if the score is their mean: for 2AFC the fraction of judges who agree."""
        return self.protocol.credits(self.distances, self.votes)

    def __repr__(self) -> str:
        scaled = (self.protocol.scale * value for value in (self.score, *self.interval))
        score, low, high = (f"{value:.{self.protocol.decimals}f}" for value in scaled)
        return (
            f"{self.label} on {self.split.name}: {self.protocol.title} {score}, 95 % interval {low} to {high},"
            f" {self.n} {self.split.item}{'s' * (self.n != 1)}, {self.split.card['observers']} observers"
        )


def evaluate(
    method: Callable[[Tensor, Tensor], Any] | Method | str,
    split: Split | str | Path,
    protocol: str = "2afc",
    *,
    input_range: tuple[float, float] = (-1.0, 1.0),
    device: str | torch.device | None = None,
    batch_size: int | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Score a method on a split. Only the packed split is stored.

    Args:
        method: a function (x, y) of two batches of RGB images, float32 (N, 3, H, W), that returns N distances (a tensor
            or array of N values in any shape, larger for less similar images); a module with the same arguments, such
            as `lpips_repro.LPIPS` or the released `lpips.LPIPS`; a function of `lpips_repro.metrics` (similarities are
            turned into distances as for the tables); or a name, such as "ssim", "alex-off_the_shelf-v0.0", "piq/mdsi"
            or "mine.py:mine".
        split: a split, its folder, or its name, such as "mini/val/traditional": see `find_split`.
        protocol: "2afc", "2afc-likelihood", "jnd" or "mos".
        input_range: smallest and largest value of the images that the function expects. Ignored for functions of
            `lpips_repro.metrics` and for `LPIPS`, which have their own.
        device: of the images. By default the module's; for a name, a GPU if there is one; else the CPU.
        batch_size: examples per batch; by default chosen for the size of the images.
        bootstrap: number of resamples for the interval; seed: of the resamples.

    Raises:
        UserError: if a split, protocol or label does not exist; if the batch size, number of resamples or seed is too
            small; if the device does not exist or work; if the method does not return N numbers, or returns NaN; if
            the votes leave the score undefined.
            Exceptions of a function on the first images are raised unchanged.
    """
    check_choice("protocol", protocol, PROTOCOLS)
    check_at_least("bootstrap", bootstrap, 1)
    check_seed(seed)
    if batch_size is not None:
        check_at_least("batch_size", batch_size, 1)
    scoring = PROTOCOLS[protocol]
    found = find_split(split, scoring.kind)
    if found.card["kind"] != scoring.kind:
        raise UserError(
            f"protocol={protocol}: {found.name} has other judgments: use protocol={protocol_of(found).name}"
        )
    usable_splits([found])
    engine = Engine(_device_of(method, device))
    label, distance = _ready(method, engine, input_range)
    if isinstance(distance, PrecomputedDistances):
        distances = distance.read(found)
    else:
        distances = _run(label, distance, found, engine.device, batch_size)
    resampled = Bootstrap(scoring, [found], bootstrap, seed)
    scores, intervals = resampled.scores([{found.card["split"]: distances}])
    *_, column = next(iter(scoring.blocks(scoring.columns([found.card["split"]])).values())).values()
    if column not in scores:
        raise UserError(f"{label} on {found.name}: {scoring.undefined}")
    low, high = intervals.get(column, (np.nan, np.nan))
    scale = scoring.scale
    return Evaluation(label, found, scoring, scores[column] / scale, (low / scale, high / scale), distances)


def _device_of(method: object, device: str | torch.device | None) -> torch.device:
    if device is not None:
        return _known_device(device)
    if isinstance(method, nn.Module) and (parameter := next(method.parameters(), None)) is not None:
        return _known_device(parameter.device)
    return choose_device(Device.auto) if isinstance(method, str | Method) else torch.device("cpu")


def _known_device(device: str | torch.device) -> torch.device:
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise UserError(f"device={device}: no such device: expected one such as cpu or cuda") from error
    if found.type not in PIXELS:
        raise UserError(f"device={device}: the evaluation does not run on it: expected cpu or cuda")
    if found.type == "cuda" and (reason := why_no_cuda(found)):
        raise UserError(f"device={device}: {reason}: fix this, or use device=cpu")
    return found


def _ready(
    method: Any, engine: Engine, input_range: tuple[float, float]
) -> tuple[str, Distance | PrecomputedDistances]:
    """Return the label of a method, and its distance or its precomputed distances."""
    if isinstance(method, str | Method):
        found = find_method(method) if isinstance(method, str) else method
        return found.label, found.build(engine)
    if isinstance(method, LPIPS):
        label = "-".join((method.backbone.name, method.variant, f"v{method.version}"))
        head = method.head
        return label, Distance(partial(method.channel_means, normalize=True), {}, lambda m: weighted_sum(m, head))
    if not callable(method) or isinstance(method, type):
        what = f"the class {method.__name__}" if isinstance(method, type) else repr(method)
        raise UserError(f"{what}: expected a function of two batches of images, a module, or a label such as 'alex'")
    for name, metric in METRICS.items():
        if metric.function is method:
            return name, Distance(of_pairs(metric.function, metric.to_distance, copied=True), {})
    if isinstance(method, nn.Module) and any(isinstance(each, DRAWING) and each.training for each in method.modules()):
        name = type(method).__name__
        log.warning("%s: in training mode: dropout or batch normalization changes its distances: call .eval()", name)
    low, high = input_range
    if not low < high:
        raise UserError(f"input_range={input_range}: expected the smallest and the largest value, such as (0, 1)")

    def pair(x: Tensor, y: Tensor) -> Tensor:
        found = method(low + (high - low) * x, low + (high - low) * y)
        try:
            values = torch.as_tensor(found)
        except (TypeError, ValueError, RuntimeError) as error:
            what = type(found).__name__
            raise UserError(f"{label}: returned a {what}: expected a tensor or array of {len(x)} values") from error
        return values.reshape(-1) if values.numel() == len(x) else values  # the released package gives (N, 1, 1, 1)

    label = getattr(method, "__name__", type(method).__name__)
    return label, Distance(of_pairs(pair), {})


def _run(
    label: str, distance: Distance, split: Split, device: torch.device, batch_size: int | None
) -> dict[str, np.ndarray]:
    """Return the distances on a split, by column."""
    batches = batches_of(split, device, batch_size)
    with torch.inference_mode():
        distance.measure(*[load_batch(images[:TRIED], device) for images in split.read(batches[0])])
    values, faults = compute_distances({label: distance}, split, device, batches)
    if faults:
        raise UserError(f"{label} on {split.name}: {faults[label]}")
    return dict(zip(protocol_of(split).distances, values[label], strict=True))
