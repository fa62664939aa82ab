"""Rates of LPIPS on triplets: ours and those of other packages, on the same images with the same weights."""

import copy
import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lpips_repro.benchmark.flops import backbone_flops
from lpips_repro.benchmark.implementations import OURS, Call, Case, Comparison, compare
from lpips_repro.benchmark.machine import precisions_of
from lpips_repro.benchmark.peers import released_lpips, vgg_of_piq, with_torchmetrics
from lpips_repro.benchmark.rate_table import Row
from lpips_repro.benchmark.synthetic_inputs import lpips_metric, noise_triplet
from lpips_repro.benchmark.timing import rounds
from lpips_repro.config import BenchConfig
from lpips_repro.metrics.lpips import LPIPS
from lpips_repro.metrics.lpips.optimized import OptimizedLPIPS

FLOOR = "bare backbone"
DTYPES = {"float32": torch.float32, "tf32": torch.float32, "bfloat16": torch.bfloat16}
# Largest difference of distances, relative to the largest distance. torchmetrics and piq add another epsilon to the
# norm of a feature vector.
TOLERANCE = {"float32": 1e-5, "tf32": 5e-3, "bfloat16": 2e-2}
OTHER_EPSILON = 1e-3


def bench_evaluation(net: str, cfg: BenchConfig, device: torch.device) -> list[Row]:
    """Return the rows of a network. On a GPU, ours is also measured with large batches."""
    precisions = precisions_of(device)
    rows = compare_evaluations(net, cfg.batch_size, cfg, device, precisions, peers=True)
    if device.type == "cuda":
        rows += compare_evaluations(net, cfg.cuda_batch_size, cfg, device, precisions, peers=False)
    return rows


def compare_evaluations(
    net: str, batch: int, cfg: BenchConfig, device: torch.device, precisions: Sequence[str], *, peers: bool
) -> list[Row]:
    """Return the rows of a network with one batch size, in some precisions.

    Args:
        net: name of the backbone; batch: number of triplets per call.
        peers: whether to measure other packages, too.

    Raises:
        UserError: if the values of an implementation differ from ours.
    """
    metric, images = lpips_metric(net).to(device), noise_triplet(batch, device)
    cases = [
        Case(OURS, functools.partial(_ours, metric, images, mode, precision), mode, precision, TOLERANCE[precision])
        for mode in (("eager", "compiled") if cfg.compile else ("eager",))
        for precision in precisions
    ]
    if "float32" not in precisions:  # computed for comparison, but not returned
        cases.insert(0, Case(OURS, functools.partial(_ours, metric, images, "eager", "float32")))
    if peers:
        cases += [
            Case("lpips", functools.partial(_two_calls, released_lpips, metric, images), "eager", precision, tolerance)
            for precision, tolerance in TOLERANCE.items()
            if precision in precisions and precision != "bfloat16"  # not available in lpips
        ]
    if peers and "float32" in precisions:
        cases.append(_other("torchmetrics", with_torchmetrics, metric, images))
        if net == "vgg":  # the only network of piq
            cases.append(_other("piq", vgg_of_piq, metric, images))
    cases += [Case(FLOOR, functools.partial(bare_backbone, metric, images, p), "eager", p) for p in precisions]
    what = Comparison(
        task="evaluation",
        net=net,
        batch=batch,
        unit="triplets/s",
        peer="lpips",
        floor=FLOOR,
        flops=3 * batch * backbone_flops(net, backward=False),
    )
    rows = compare(what, cases, rounds(cfg.repeats, cfg.seconds), device)
    return [row for row in rows if row.precision in precisions]


def _other(name: str, build: Callable[[LPIPS], Callable], metric: LPIPS, images: tuple[Tensor, ...]) -> Case:
    return Case(name, functools.partial(_two_calls, build, metric, images), tolerance=OTHER_EPSILON)


def _ours(metric: LPIPS, images: tuple[Tensor, ...], mode: str, precision: str) -> Call:
    evaluator: LPIPS | OptimizedLPIPS = metric
    if mode == "compiled" or DTYPES[precision] != torch.float32:
        evaluator = metric.optimized(DTYPES[precision], compiled=mode == "compiled")
    ref, p0, p1 = images
    return torch.inference_mode()(lambda: torch.stack(evaluator.triplet(ref, p0, p1)))


def _two_calls(build: Callable[[LPIPS], Callable], metric: LPIPS, images: tuple[Tensor, ...]) -> Call:
    """Each pair on its own, as with the released package: the reference passes the network twice."""
    distance, (ref, p0, p1) = build(metric), images
    return torch.inference_mode()(lambda: torch.stack((distance(ref, p0).flatten(), distance(ref, p1).flatten())))


def bare_backbone(metric: LPIPS, images: tuple[Tensor, ...], precision: str) -> Call:
    """Return a call that runs only the backbone on the images of a batch, as PyTorch runs it.

    Args:
        metric: for its backbone.
        images: ref, p0 and p1, each (N, 3, H, W) in [-1, 1].
        precision: "float32", "tf32" or "bfloat16".
    """
    dtype = DTYPES[precision]
    backbone = copy.deepcopy(metric.backbone).to(dtype).to(memory_format=torch.channels_last)
    stacked = torch.cat(images).to(dtype, memory_format=torch.channels_last)

    @torch.inference_mode()
    def call() -> None:
        for _ in backbone.each_map(stacked):
            pass

    return call
