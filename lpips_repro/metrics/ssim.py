"""SSIM: the mean over windows of the similarity of luminance, contrast and structure.

    SSIM = (2 mu_x mu_y + C1) (2 s_xy + C2) / ((mu_x^2 + mu_y^2 + C1) (s_x^2 + s_y^2 + C2)),  C = (K L)^2
    DSSIM = (1 - SSIM) / 2

Z. Wang, A. C. Bovik, H. R. Sheikh and E. P. Simoncelli, Image Quality Assessment: From Error Visibility to Structural
Similarity, IEEE Transactions on Image Processing 13(4), 2004. The Gaussian window is the paper's. The uniform window is
scikit-image's default, which the released LPIPS evaluator uses.
"""

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from lpips_repro.color import COLORSPACES, rgb_to_lab, truncate_to_uint8
from lpips_repro.errors import check_choice
from lpips_repro.metrics.compilation import compiling, padded
from lpips_repro.metrics.inputs import GREY_OR_RGB, as_rgb, at_least_float32, check_images
from lpips_repro.metrics.registry import register_metric
from lpips_repro.metrics.tracing import is_recorded

K1, K2 = 0.01, 0.03
# L, the range of values.
DATA_RANGE = {"rgb": 1.0, "lab": 100.0}
WINDOW_SIZE = {"uniform": 7, "gaussian": 11}
SIGMA = 1.5

# Samples per window in the moments, and the divisor of the variance. A uniform window is summed, not averaged, and its
# variance is a sample variance. The Gaussian weights sum to 1.
SAMPLES = {"uniform": (49, 48), "gaussian": (1, 1)}

# Pixels per block: on a CPU, a compromise between its cache and the overhead of each operation.
BLOCK_PIXELS = {"cpu": 2**17, "other": 2**22}


@register_metric(to_distance=lambda value: (1 - value) / 2)
def ssim(
    x: Tensor,
    y: Tensor,
    window: str = "uniform",
    colorspace: str = "rgb",
    truncate: bool = False,
    compiled: bool = False,
    *,
    validate: bool = True,
) -> Tensor:
    """Structural similarity of two batches of images, averaged over channels. The distance is `dssim`.

    Args:
        x, y: shape (N, 3, H, W), RGB, or (N, 1, H, W), gray; in [0, 1], at least as large as the window.
        window: "uniform" (7 x 7, sample covariance: skimage.metrics.structural_similarity's defaults) or "gaussian"
            (11 x 11, sigma 1.5, population covariance: Wang et al.). Only windows inside the image count.
        colorspace: "rgb" or "lab" (data range 100).
        truncate: truncate images to uint8 instead of rounding, as the released evaluator does. For compatibility only:
            there is no gradient.
        compiled: compile the computation. It takes some seconds per image size, and is then two to three times as fast
            for ten images or more, but not for fewer.
        validate: whether to check that values are in [0, 1].

    Returns:
        N values in [-1, 1], 1 for identical images.

    Raises:
        UserError (a ValueError): if compilation fails.
        ValueError: if the images differ in shape, dtype or device, have values outside [0, 1] or are too small, or if
            the window or color space is unknown.
    """
    check_choice("window", window, tuple(WINDOW_SIZE))
    check_choice("colorspace", colorspace, COLORSPACES)
    check_images(x, y, 0.0, 1.0, WINDOW_SIZE[window], channels=GREY_OR_RGB, validate=validate)
    x, y = at_least_float32(x), at_least_float32(y)
    if truncate:
        x, y = truncate_to_uint8(x), truncate_to_uint8(y)
    if colorspace == "lab":
        x, y = rgb_to_lab(as_rgb(x)), rgb_to_lab(as_rgb(y))
    settings = window, DATA_RANGE[colorspace]
    channels = x.flatten(0, 1), y.flatten(0, 1)
    if is_recorded(x):  # the batch size is a symbol, or may change later
        blocks, compiled = [channels], False
    else:
        count = max(1, BLOCK_PIXELS["cpu" if x.device.type == "cpu" else "other"] // x[0, 0].numel())
        blocks = list(zip(*(images.split(count) for images in channels), strict=True))
    if compiled:
        with compiling():
            done = [
                _compiled_channel_ssim()(padded(a, count), padded(b, count), *settings)[: len(a)] for a, b in blocks
            ]
    else:
        done = [_channel_ssim(a, b, *settings) for a, b in blocks]
    values: Tensor = torch.cat(done).unflatten(0, x.shape[:2]).mean(dim=1)
    return values.to(x.dtype)


def dssim(
    x: Tensor,
    y: Tensor,
    window: str = "uniform",
    colorspace: str = "rgb",
    truncate: bool = False,
    *,
    validate: bool = True,
) -> Tensor:
    """Structural dissimilarity (1 - SSIM) / 2, N values in [0, 1]. Arguments and errors are those of `ssim`."""
    return (1 - ssim(x, y, window, colorspace, truncate, validate=validate)) / 2


@functools.cache
def _compiled_channel_ssim() -> Callable[..., Tensor]:
    return torch.compile(_channel_ssim, dynamic=False, fullgraph=True)


def _channel_ssim(x: Tensor, y: Tensor, window: str, data_range: float) -> Tensor:
    """Mean SSIM of single channels, (M, H, W) to M values."""
    width, margin = x.shape[2], WINDOW_SIZE[window] - 1
    # SSIM needs five moments of x and y. The moments of the sum s and the difference d give them: x^2 + y^2 = (s^2 +
    # d^2) / 2 and 2 x y = (s^2 - d^2) / 2, for means and for variances. That is one map less to filter, and exactly 1
    # for identical images. s and d may be float32: an error e of about 2^-24 of the data range changes a deviation by
    # at most e, and each factor of SSIM, relative to its denominator, by 2 s e / (s^2 + 2 K2^2) <= e / (2^0.5 K2) =
    # 1.4e-6.
    mean_s, variance_s = _moments(x + y, window)
    mean_d, variance_d = _moments(x - y, window)
    # The constants have the same factors as the moments, so that the factors cancel.
    samples, divisor = SAMPLES[window]
    mean_s += 2 * (K1 * data_range * samples) ** 2
    variance_s += 2 * (K2 * data_range) ** 2 * divisor
    similarity = (mean_s - mean_d) * (variance_s - variance_d)
    similarity = similarity / (mean_s.add_(mean_d) * variance_s.add_(variance_d))
    # Only windows inside the image.
    return similarity.unfold(1, width - margin, width).mean(dim=(1, 2))


def _moments(v: Tensor, window: str) -> tuple[Tensor, Tensor]:
    """Squared mean times samples^2, and variance times its divisor, per window, (M, H, W) to (M, L).

    Rows are joined end to end, so that operations run over whole images. The L windows include those that wrap around
    from one row to the next, which have no meaning.
    """
    # In float32, the variance E[v^2] - E[v]^2 gives errors of SSIM up to 5e-5 in bright and flat images.
    v = v.double()
    filter_rows = _box if window == "uniform" else _gaussian
    mean, square = filter_rows(v), filter_rows(v * v)
    mean = mean * mean
    # In place here and below if no gradient needs the old values: new memory costs more than arithmetic.
    return mean, square.sub_(mean, alpha=1 / SAMPLES[window][0])


def _box(v: Tensor) -> Tensor:
    """Sums over 7 x 7 windows, (M, H, W) to (M, L)."""
    if torch.compiler.is_compiling():  # torch 2.6 compiles a wrong gradient of unfold
        columns = _seven(v.flatten(1), v.shape[2])
    else:  # a sum over strided columns is vectorized
        columns = v.unfold(1, 7, 1).sum(-1).flatten(1)
    return _seven(columns, 1)


def _seven(v: Tensor, step: int) -> Tensor:
    """Sums of seven values that are `step` places apart, (M, L) to (M, L - 6 step): by doubling, 7 = 4 + 2 + 1."""
    size = v.shape[1] - 6 * step
    two = v.narrow(1, 0, size + 5 * step) + v.narrow(1, step, size + 5 * step)
    four = two.narrow(1, 0, size) + two.narrow(1, 2 * step, size)
    return four.add_(two.narrow(1, 4 * step, size)).add_(v.narrow(1, 6 * step, size))


def _gaussian(v: Tensor) -> Tensor:
    """Gaussian means over 11 x 11 windows, (M, H, W) to (M, L). Two values at the same distance share a weight."""
    radius = WINDOW_SIZE["gaussian"] // 2
    weights = [math.exp(-(k**2) / (2 * SIGMA**2)) for k in range(radius + 1)]
    norm = weights[0] + 2 * sum(weights[1:])
    width, v = v.shape[2], v.flatten(1)
    for step in (width, 1):
        size = v.shape[1] - 2 * radius * step
        result = v.narrow(1, radius * step, size) * (weights[0] / norm)
        for k in range(1, radius + 1):
            pair = v.narrow(1, (radius - k) * step, size) + v.narrow(1, (radius + k) * step, size)
            result.add_(pair, alpha=weights[k] / norm)
        v = result
    return v
