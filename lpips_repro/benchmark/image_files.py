"""Rates of `lpips-repro dirs` and `matrix` and of the released scripts on image files of 256 x 256 pixels.

dirs      ours: the command after its start and after loading the network
          lpips_2dirs.py: as the released script works, one pair after the other
          floor: only the backbone on all images, while threads decode the next images
matrix    ours: the distances of all pairs of a folder
          lpips_1dir_allpairs.py: as the released script works, both images of each pair pass the network
          floor: only the backbone, once per image, while threads decode the next images
"""

import functools
import itertools
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from lpips_repro.benchmark.flops import backbone_flops
from lpips_repro.benchmark.implementations import OURS, Call, Case, Comparison, compare
from lpips_repro.benchmark.peers import released_lpips
from lpips_repro.benchmark.rate_table import Row
from lpips_repro.benchmark.synthetic_inputs import lpips_metric
from lpips_repro.benchmark.timing import rounds
from lpips_repro.cli.matrix import LPIPSMatrix
from lpips_repro.cli.methods import ReadyMethod
from lpips_repro.cli.pairing import Pair
from lpips_repro.cli.reading import Reading, to_batch
from lpips_repro.cli.score import Scored, Scorer
from lpips_repro.config import BenchConfig
from lpips_repro.devices import read_ahead
from lpips_repro.evaluation.distances.compute import Engine
from lpips_repro.evaluation.methods.published import lpips_distance
from lpips_repro.images import read_rgb
from lpips_repro.metrics.lpips import LPIPS
from lpips_repro.progress import Progress

SIZE = 256
NOISE = 0.03  # gives PNGs about the size of those of photographs
TOLERANCE = 1e-5
LEAST_ROUNDS = 2  # a round takes half a minute or more
FLOOR_IMAGES = 500  # at once on a GPU; on a CPU as many as fit in its cache
FLOOR = "bare backbone, decoding hidden"


def bench_files(net: str, cfg: BenchConfig, device: torch.device) -> list[Row]:
    """Return the rows of a network. One with more operations than alex has fewer pairs; only alex has `matrix`."""
    metric = lpips_metric(net).to(device)
    heavier = backbone_flops(net, backward=False) / backbone_flops("alex", backward=False)
    count = max(1, round(cfg.file_pairs / max(1, heavier)))
    with tempfile.TemporaryDirectory() as folder:
        refs, images = (write_images(Path(folder) / name, count, seed) for seed, name in enumerate(("refs", "images")))
        pairs = [Pair(ref, image) for ref, image in zip(refs, images, strict=True)]
        files = [path for pair in pairs for path in (pair.ref, pair.image)]
        cases = [
            Case(OURS, functools.partial(_dirs, metric, pairs, device)),
            Case("lpips_2dirs.py", functools.partial(_released_pairs, metric, pairs), tolerance=TOLERANCE),
            Case(FLOOR, functools.partial(_floor, metric, files)),
        ]
        what = Comparison("files: dirs", count, "pairs/s", net, peer="lpips_2dirs.py", floor=FLOOR)
        rows = compare(what, cases, rounds(cfg.repeats, cfg.seconds, LEAST_ROUNDS), device)
        if net == "alex":  # the only network of the released script
            rows += _bench_matrix(metric, write_images(Path(folder) / "all", cfg.matrix_images, 2), cfg, device)
    return rows


def _bench_matrix(metric: LPIPS, files: Sequence[Path], cfg: BenchConfig, device: torch.device) -> list[Row]:
    pairs = [Pair(ref, image) for k, ref in enumerate(files) for image in files[k + 1 :]]
    cases = [
        Case(OURS, functools.partial(_matrix, metric, files, device)),
        Case("lpips_1dir_allpairs.py", functools.partial(_released_pairs, metric, pairs), tolerance=TOLERANCE),
        Case(FLOOR, functools.partial(_floor, metric, files)),
    ]
    name = metric.backbone.name
    what = Comparison("files: matrix", len(pairs), "pairs/s", name, peer="lpips_1dir_allpairs.py", floor=FLOOR)
    return compare(what, cases, rounds(cfg.repeats, cfg.seconds, LEAST_ROUNDS), device)


def write_images(folder: Path, count: int, seed: int) -> list[Path]:
    """Write PNGs of smooth colors with noise to a new folder, and return their paths."""
    folder.mkdir()
    generator, paths = torch.Generator().manual_seed(seed), []
    for number in range(count):
        smooth = F.interpolate(torch.rand(1, 3, 16, 16, generator=generator), size=SIZE, mode="bicubic")[0]
        noisy = (smooth + NOISE * torch.randn(smooth.shape, generator=generator)).clamp(0, 1)
        paths.append(folder / f"{number:06}.png")
        Image.fromarray((255 * noisy).round().byte().permute(1, 2, 0).numpy()).save(paths[-1])
    return paths


def _dirs(metric: LPIPS, pairs: Sequence[Pair], device: torch.device) -> Call:
    method = ReadyMethod("ours", lpips_distance(metric, Engine(device)), {})
    scorer = Scorer([method], device, Reading())

    def call() -> Tensor:
        scored = [Scored(pair) for pair in pairs]
        scorer.fill(scored, Progress(disable=True))
        return torch.tensor([one.distances["ours"] for one in scored])

    return call


def _matrix(metric: LPIPS, files: Sequence[Path], device: torch.device) -> Call:
    def call() -> Tensor:
        matrix = LPIPSMatrix(metric, {"ours": metric.head}, files, files, device, Reading())
        matrix.fill(Progress(disable=True))
        return torch.tensor([one.distances["ours"] for k, row in enumerate(matrix.scored) for one in row[k + 1 :]])

    return call


def _released_pairs(metric: LPIPS, pairs: Sequence[Pair]) -> Call:
    """As both scripts work, including gradients; a reference is read once for consecutive pairs."""
    import lpips

    net = released_lpips(metric)

    def read(path: Path) -> Tensor:
        return lpips.im2tensor(lpips.load_image(str(path))).to(metric.shift.device)

    def call() -> Tensor:
        found = []
        for path, group in itertools.groupby(pairs, key=lambda pair: pair.ref):
            ref = read(path)
            found += [net(ref, read(pair.image)).item() for pair in group]
        return torch.tensor(found)

    return call


def _floor(metric: LPIPS, files: Sequence[Path]) -> Call:
    device = metric.shift.device
    few = torch.empty(min(FLOOR_IMAGES, len(files)), 3, 1, 1, device=device).expand(-1, -1, SIZE, SIZE)
    at_once = metric.at_once(few, 1)

    def read(block: range) -> list[np.ndarray]:
        return [read_rgb(files[k]) for k in block]

    @torch.inference_mode()
    def call() -> None:
        blocks = [range(start, min(start + at_once, len(files))) for start in range(0, len(files), at_once)]
        for pixels in read_ahead(read, blocks, ThreadPoolExecutor(2), ahead=lambda: 4):
            for _ in metric.backbone.each_map(to_batch(pixels, device)):
                pass

    return call
