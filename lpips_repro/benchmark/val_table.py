"""Rates of all rows of a network in a val table: off the shelf and lin in both versions, over a packed 2AFC split.

    ours             as `make eval-tables`: reads the packed split; rows with the same backbone and version share a pass
    ours, ten seeds  the same with ten rows of lin (of training runs, here with random heads) instead of each one
    lpips            the module of the released package, once per row, on the same images, which are already in memory
    floor            only the backbone, once per version, on the same images

A triplet counts when all rows have its two distances.
"""

import functools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lpips_repro.benchmark.evaluation import DTYPES, TOLERANCE, bare_backbone
from lpips_repro.benchmark.flops import backbone_flops
from lpips_repro.benchmark.implementations import OURS, Call, Case, Comparison, compare
from lpips_repro.benchmark.peers import released_lpips
from lpips_repro.benchmark.rate_table import Row
from lpips_repro.benchmark.synthetic_inputs import lpips_metric, noise_split
from lpips_repro.benchmark.timing import rounds
from lpips_repro.config import BenchConfig
from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances.compute import Engine, batches_of, compute_distances
from lpips_repro.evaluation.methods.published import lpips_distance
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.features.patches import to_images
from lpips_repro.metrics.lpips import LPIPS
from lpips_repro.metrics.lpips.model import versions_of

TASK = "whole val table"
FLOOR = "a bare backbone per version"
SEEDS = 10
TEN_SEEDS = f"{OURS}, ten seeds"
MODES = (("eager", "float32"), ("compiled", "float32"), ("compiled", "bfloat16"))

Images = Sequence[tuple[Tensor, ...]]  # ref, p0 and p1 per batch


def bench_val_table(net: str, cfg: BenchConfig, device: torch.device) -> list[Row]:
    """Return the rows of a network. One with more operations than alex has fewer triplets, but at least a batch."""
    batch = cfg.cuda_batch_size if device.type == "cuda" else cfg.batch_size
    heavier = backbone_flops(net, backward=False) / backbone_flops("alex", backward=False)
    count = batch * max(1, round(cfg.table_triplets / max(1, heavier) / batch))
    modes = MODES if cfg.compile else MODES[:1]
    with tempfile.TemporaryDirectory() as folder:
        split = noise_split(Path(folder) / "split", count)
        images = [_batch(split, start, start + batch, device) for start in range(0, count, batch)]
        cases = []
        for mode, precision in modes:
            engine = Engine(device, DTYPES[precision], mode == "compiled")
            for name, seeds in ((OURS, 1), (TEN_SEEDS, SEEDS)):
                build = functools.partial(_ours, net, split, batch, engine, seeds)
                cases.append(Case(name, build, mode, precision, TOLERANCE[precision]))
        cases.append(Case("lpips", functools.partial(_released, net, images), tolerance=TOLERANCE["float32"]))
        cases += [
            Case(FLOOR, functools.partial(_bare, net, images, precision), precision=precision)
            for precision in dict.fromkeys(precision for _, precision in modes)
        ]
        what = Comparison(TASK, count, "triplets/s", net, peer="lpips", floor=FLOOR)
        rows = compare(what, cases, rounds(cfg.repeats, cfg.seconds), device)
    _relate_seeds(rows)
    return rows


def _methods(net: str, seeds: int) -> Iterator[LPIPS]:
    """The metric of each row: off the shelf and official lin in each version, then lin of the other seeds."""
    for seed in range(seeds):
        for version in versions_of(net):
            if seed == 0:
                yield lpips_metric(net, version, "off_the_shelf")
            yield lpips_metric(net, version, lin_seed=seed or None)


def _ours(net: str, split: PackedSplit, batch: int, engine: Engine, seeds: int) -> Call:
    """A call that computes all rows as the tables do, and returns the distances of those of one seed."""
    distances = {str(row): lpips_distance(metric, engine) for row, metric in enumerate(_methods(net, seeds))}

    def call() -> Tensor:
        batches = batches_of(split, engine.device, batch)
        values, faults = compute_distances(distances, split, engine.device, batches)
        if faults:
            raise UserError(next(iter(faults.values())))
        return torch.from_numpy(np.stack([values[str(row)] for row in range(2 * len(versions_of(net)))]))

    return call


def _released(net: str, images: Images) -> Call:
    """Each row and each pair on its own: the reference passes the network twice."""
    modules = [released_lpips(metric.to(images[0][0].device)) for metric in _methods(net, 1)]

    @torch.inference_mode()
    def call() -> Tensor:
        rows = [[torch.stack((m(r, p0).flatten(), m(r, p1).flatten())) for r, p0, p1 in images] for m in modules]
        return torch.stack([torch.cat(row, dim=1) for row in rows])

    return call


def _bare(net: str, images: Images, precision: str) -> Call:
    """Only the backbone on all images, once per version."""
    metric = lpips_metric(net).to(images[0][0].device)
    calls = [bare_backbone(metric, batch, precision) for batch in images]

    def call() -> None:
        for _ in versions_of(net):
            for one in calls:
                one()

    return call


def _batch(split: PackedSplit, start: int, stop: int, device: torch.device) -> tuple[Tensor, ...]:
    """ref, p0, p1 (N, 3, H, W) in [-1, 1]."""
    return tuple(to_images(split.arrays[name][start:stop], device).contiguous() for name in TWOAFC.images)


def _relate_seeds(rows: Sequence[Row]) -> None:
    """Set the ratio of the rows of ten seeds: their rate divided by that of one seed."""
    one = {(row.mode, row.precision): row.rate for row in rows if row.implementation == OURS}
    for row in rows:
        rate = one.get((row.mode, row.precision))
        if row.implementation == TEN_SEEDS and row.rate and rate:
            row.peer, row.ratio = "one seed", row.rate / rate
