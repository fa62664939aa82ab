"""Rates of the metrics without a network on pairs of 64 x 64 images: ours and those of other packages.

The SSIM of torchmetrics is not compared: it pads the images, and so gives other values.
"""

import functools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from lpips_repro.benchmark.implementations import OURS, Call, Case, Comparison, compare
from lpips_repro.benchmark.rate_table import Row
from lpips_repro.benchmark.smooth_images import smooth_pair
from lpips_repro.benchmark.timing import rounds
from lpips_repro.config import BenchConfig
from lpips_repro.metrics import fsimc, l2, ssim

FLOOR = "one read of the inputs"
# piq computes roots of negative chrominance and the median in another way.
PIQ_FSIMC = 1e-3
FLOAT32 = 1e-5

Pair = tuple[Tensor, Tensor]


def bench_classic(cfg: BenchConfig, device: torch.device) -> list[Row]:
    """Return the rows of L2, SSIM with the uniform and the Gaussian window, and FSIMc."""
    x, y = smooth_pair(cfg.pairs, device)
    ours: dict[str, Callable[..., Tensor]] = {
        "l2": l2,
        "ssim (uniform window)": ssim,
        "ssim (gaussian window)": functools.partial(ssim, window="gaussian"),
        "fsimc": fsimc,
    }
    peers = {
        "l2": [("scikit-image", _skimage_l2, FLOAT32)],
        "ssim (uniform window)": [("scikit-image", _skimage_ssim, FLOAT32)],
        "ssim (gaussian window)": [("piq", _piq_ssim, 1e-4)],
        "fsimc": [("piq", _piq_fsimc, PIQ_FSIMC)],
    }
    rows = []
    for task, metric in ours.items():
        cases = [Case(OURS, functools.partial(_ours, metric, (x, y)))]
        if cfg.compile and task.startswith("ssim"):
            compiled = functools.partial(_ours, functools.partial(metric, compiled=True), (x, y))
            cases.append(Case(OURS, compiled, "compiled", tolerance=FLOAT32))
        cases += [Case(name, functools.partial(build, (x, y)), tolerance=tol) for name, build, tol in peers[task]]
        cases.append(Case(FLOOR, functools.partial(_read, (x, y))))
        what = Comparison(task, cfg.pairs, "pairs/s", peer=peers[task][0][0], floor=FLOOR)
        rows += compare(what, cases, rounds(cfg.repeats, cfg.seconds), device)
    return rows


def _ours(metric: Callable[[Tensor, Tensor], Tensor], pair: Pair) -> Call:
    return torch.inference_mode()(lambda: metric(*pair))


def _read(pair: Pair) -> Call:
    def call() -> None:
        for images in pair:
            images.sum()

    return call


def _images(pair: Pair) -> list[tuple[np.ndarray, np.ndarray]]:
    """The pairs as arrays (64, 64, 3), as scikit-image expects them."""
    x, y = (images.permute(0, 2, 3, 1).contiguous().cpu().numpy() for images in pair)
    return list(zip(x, y, strict=True))


def _skimage_l2(pair: Pair) -> Call:
    from skimage.metrics import mean_squared_error

    images = _images(pair)
    return lambda: torch.tensor([4 * mean_squared_error(a, b) for a, b in images])  # on the scale of [-1, 1]


def _skimage_ssim(pair: Pair) -> Call:
    from skimage.metrics import structural_similarity

    images = _images(pair)
    return lambda: torch.tensor([structural_similarity(a, b, channel_axis=2, data_range=1.0) for a, b in images])


def _piq_ssim(pair: Pair) -> Call:
    import piq

    return torch.inference_mode()(lambda: piq.ssim(*pair, reduction="none"))


def _piq_fsimc(pair: Pair) -> Call:
    import piq

    return torch.inference_mode()(lambda: piq.fsim(*pair, reduction="none", chromatic=True))
