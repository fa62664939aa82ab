"""One method on one split, from Python.

    from lpips_repro.evaluation import evaluate

    result = evaluate(lambda x, y: (x - y).abs().mean(dim=(1, 2, 3)), "mini/val/traditional")
    result                      # score, 95 % interval, number of examples and who judged
    result.distances["d0"]      # of p0 from the reference, (N,)

The score and its interval are those of the method's row in the tables.
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
from lpips_repro.errors import UserError, check_choice
from lpips_repro.evaluation.distances.compute import (
    Distance,
    Engine,
    batches_of,
    compute_distances,
    load_batch,
    of_pairs,
)
from lpips_repro.evaluation.distances.precomputed import PrecomputedDistances
from lpips_repro.evaluation.methods.method import Method
from lpips_repro.evaluation.methods.named import find_method
from lpips_repro.evaluation.protocols import PROTOCOLS, Protocol, protocol_of
from lpips_repro.evaluation.tables.table import Bootstrap
from lpips_repro.evaluation.usable import usable_splits
from lpips_repro.metrics import METRICS
from lpips_repro.metrics.lpips import LPIPS
from lpips_repro.metrics.lpips.channels import weighted_sum
from lpips_repro.runs.record import choose_device

log = logging.getLogger(__name__)

# Layers whose values differ in training mode.
DRAWING = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm)
TRIED = 2  # images, before all of them: an error of a function is raised as it is


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The score of a method on a split.

    Attributes:
        label: of the method, such as the name of a function; split: what it ran on; protocol: what scored it.
        score: in the unit of the protocol's function: a share in [0, 1] for 2AFC and JND, Spearman's correlation for
            mean opinion scores.
        interval: ends of its 95 % bootstrap interval, the same as in the tables; NaN if it has none.
        distances: (N,) each: d0 and d1 of 2AFC, d of JND, distance of mean opinion scores.
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
        """What the observers answered, (N,): for 2AFC the share who chose p1."""
        return self.split.votes

    @property
    def credits(self) -> np.ndarray | None:
        """What each example counts, (N,), if the score is their mean: for 2AFC the share of judges who agree."""
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
    """Score a method on a split. Nothing is stored but the packed split.

    Args:
        method: a function (x, y) of two batches of RGB images, float32 (N, 3, H, W), that returns N distances (a tensor
            or array of N values in any shape, larger for less similar images); a module that is called so, such as
            `lpips_repro.LPIPS` or the released `lpips.LPIPS`; a function of `lpips_repro.metrics`, whose similarities
            count as in the tables; or a name, such as "ssim", "alex-off_the_shelf-v0.0", "piq/mdsi" or "mine.py:mine".
        split: the folder of a split, a name such as "mini/val/traditional", or a split: see `find_split`.
        protocol: "2afc", "2afc-likelihood", "jnd" or "mos".
        input_range: least and largest value of the images that a function takes. Those of `lpips_repro.metrics` and
            `LPIPS` have their own.
        device: where images are; None for that of a module, for a GPU (if there is one) with a label, else for the CPU.
        batch_size: examples at once; None for what suits the size of images.
        bootstrap: resamples for the interval; seed: of these.

    Raises:
        UserError: for a split, protocol or label that does not exist; for a batch size, number of resamples or seed
            that is too small; for a method that does not return N numbers, or NaN; for votes that leave the score
            undefined. What a function raises on the first images is raised as it is.
    """
    check_choice("protocol", protocol, PROTOCOLS)
    check_at_least("bootstrap", bootstrap, 1)
    check_seed(seed)
    if batch_size is not None:
        check_at_least("batch_size", batch_size, 1)
    scoring = PROTOCOLS[protocol]
    found = find_split(split, scoring.kind)
    if found.card["kind"] != scoring.kind:
        raise UserError(f"protocol={protocol}: {found.name} has other answers: protocol={protocol_of(found).name}")
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
        return torch.device(device)
    if isinstance(method, nn.Module) and (parameter := next(method.parameters(), None)) is not None:
        return parameter.device
    return choose_device(Device.auto) if isinstance(method, str | Method) else torch.device("cpu")


def _ready(
    method: Any, engine: Engine, input_range: tuple[float, float]
) -> tuple[str, Distance | PrecomputedDistances]:
    """The label of a method, and the method ready to run."""
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
        raise UserError(f"input_range={input_range}: expected the least and the largest value, as in (0, 1)")

    def pair(x: Tensor, y: Tensor) -> Tensor:
        found = method(low + (high - low) * x, low + (high - low) * y)
        try:
            values = torch.as_tensor(found)
        except (TypeError, ValueError, RuntimeError) as error:
            what = type(found).__name__
            raise UserError(f"{label}: returned a {what}: expected a tensor or array of {len(x)} values") from error
        return values.reshape(-1) if values.numel() == len(x) else values  # as (N, 1, 1, 1) of the released package

    label = getattr(method, "__name__", type(method).__name__)
    return label, Distance(of_pairs(pair), {})


def _run(
    label: str, distance: Distance, split: Split, device: torch.device, batch_size: int | None
) -> dict[str, np.ndarray]:
    """The distances on a split by column."""
    batches = batches_of(split, device, batch_size)
    with torch.inference_mode():
        distance.measure(*[load_batch(images[:TRIED], device) for images in split.read(batches[0])])
    values, faults = compute_distances({label: distance}, split, device, batches)
    if faults:
        raise UserError(f"{label} on {split.name}: {faults[label]}")
    return dict(zip(protocol_of(split).distances, values[label], strict=True))
