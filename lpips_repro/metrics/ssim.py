"""SSIM: the mean over windows of the similarity of luminance, contrast and structure.

    SSIM = (2 mu_x mu_y + C1) (2 s_xy + C2) / ((mu_x^2 + mu_y^2 + C1) (s_x^2 + s_y^2 + C2)),  C = (K L)^2
    DSSIM = (1 - SSIM) / 2

Z. Wang, A. C. Bovik, H. R. Sheikh and E. P. Simoncelli, Image Quality Assessment: From Error Visibility to Structural
Similarity, IEEE Transactions on Image Processing 13(4), 2004. The Gaussian window is that of the paper, the uniform one
is scikit-image's default, which the released LPIPS evaluator uses.
"""

import math

import torch
from torch import Tensor

from lpips_repro.errors import check_choice
from lpips_repro.metrics.color import COLORSPACES, rgb_to_lab, truncate_to_uint8
from lpips_repro.metrics.inputs import at_least_float32, check_images
from lpips_repro.metrics.registry import register_metric

K1, K2 = 0.01, 0.03
# L, the span of values.
DATA_RANGE = {"rgb": 1.0, "lab": 100.0}
WINDOW_SIZE = {"uniform": 7, "gaussian": 11}
SIGMA = 1.5

# Pixels to work on at a time: on a CPU as many as keep the maps in its cache.
BLOCK_PIXELS = {"cpu": 2**16, "other": 2**22}


@register_metric(to_distance=lambda value: (1 - value) / 2)
def ssim(x: Tensor, y: Tensor, window: str = "uniform", colorspace: str = "rgb", truncate: bool = False) -> Tensor:
    """Structural similarity of two batches of images, the mean over channels; as a distance `dssim`.

    Args:
        x, y: shape (N, 3, H, W), RGB in [0, 1], no smaller than the window.
        window: "uniform" (7 x 7, sample covariance: skimage.metrics.structural_similarity's defaults) or "gaussian"
            (11 x 11, sigma 1.5, population covariance: Wang et al.). Only windows inside the image count.
        colorspace: "rgb" or "lab" (data range 100).
        truncate: see the images as the released evaluator does, cut to uint8 where rounding is meant. For
            compatibility only: the values have no gradient.

    Returns:
        N values in [-1, 1], 1 for identical images.

    Raises:
        ValueError: images that do not fit together, leave [0, 1] or are too small; an unknown window or colour space.
    """
    check_choice("window", window, tuple(WINDOW_SIZE))
    check_choice("colorspace", colorspace, COLORSPACES)
    check_images(x, y, 0.0, 1.0, min_size=WINDOW_SIZE[window])
    x, y = at_least_float32(x), at_least_float32(y)
    if truncate:
        x, y = truncate_to_uint8(x), truncate_to_uint8(y)
    if colorspace == "lab":
        x, y = rgb_to_lab(x), rgb_to_lab(y)
    x, y = x / DATA_RANGE[colorspace], y / DATA_RANGE[colorspace]
    count = max(1, BLOCK_PIXELS["cpu" if x.device.type == "cpu" else "other"] // x[0, 0].numel())
    blocks = zip(x.flatten(0, 1).split(count), y.flatten(0, 1).split(count), strict=True)
    channels = torch.cat([_channel_ssim(a, b, window) for a, b in blocks])
    return channels.unflatten(0, x.shape[:2]).mean(dim=1).to(x.dtype)


def dssim(x: Tensor, y: Tensor, window: str = "uniform", colorspace: str = "rgb", truncate: bool = False) -> Tensor:
    """Structural dissimilarity (1 - SSIM) / 2, N values in [0, 1]; arguments and errors are those of `ssim`."""
    return (1 - ssim(x, y, window, colorspace, truncate)) / 2


def _channel_ssim(x: Tensor, y: Tensor, window: str) -> Tensor:
    """Mean SSIM of single channels with span 1, (M, H, W) to M values."""
    # Variance as E[v^2] - E[v]^2 in float32 puts SSIM off by up to 5e-5 where images are bright and flat.
    x, y = x.double(), y.double()
    # Moments of sum and difference give all five of x and y that SSIM needs: x^2 + y^2 = (s^2 + d^2) / 2 and
    # 2 x y = (s^2 - d^2) / 2, for means as for variances. One map less to filter, and exactly 1 for identical images.
    total, difference = x + y, x - y
    maps = torch.stack((total, difference, total * total, difference * difference))
    filter_axis = _box if window == "uniform" else _gaussian
    # Rows first: dropping them leaves the rest contiguous for the second pass.
    mean_s, mean_d, square_s, square_d = filter_axis(filter_axis(maps, -2), -1)
    mean_s, mean_d = mean_s * mean_s, mean_d * mean_d
    samples = WINDOW_SIZE["uniform"] ** 2
    covariance_norm = samples / (samples - 1) if window == "uniform" else 1.0
    variance_s, variance_d = (square_s - mean_s) * covariance_norm, (square_d - mean_d) * covariance_norm
    c1, c2 = 2 * K1**2, 2 * K2**2
    similarity = (mean_s - mean_d + c1) * (variance_s - variance_d + c2)
    return (similarity / ((mean_s + mean_d + c1) * (variance_s + variance_d + c2))).mean(dim=(1, 2))


def _box(maps: Tensor, axis: int) -> Tensor:
    """Mean of 7 neighbours along an axis, by doubling: 7 = 4 + 2 + 1."""
    size = maps.shape[axis] - 6
    two = maps.narrow(axis, 0, size + 5) + maps.narrow(axis, 1, size + 5)
    four = two.narrow(axis, 0, size) + two.narrow(axis, 2, size)
    return (four + two.narrow(axis, 4, size) + maps.narrow(axis, 6, size)) / 7


def _gaussian(maps: Tensor, axis: int) -> Tensor:
    """Gaussian mean of 11 neighbours along an axis; the two at the same distance share a weight."""
    radius = WINDOW_SIZE["gaussian"] // 2
    weights = [math.exp(-(k**2) / (2 * SIGMA**2)) for k in range(radius + 1)]
    norm = weights[0] + 2 * sum(weights[1:])
    size = maps.shape[axis] - 2 * radius
    result = maps.narrow(axis, radius, size) * (weights[0] / norm)
    for k in range(1, radius + 1):
        pair = maps.narrow(axis, radius - k, size) + maps.narrow(axis, radius + k, size)
        result = torch.add(result, pair, alpha=weights[k] / norm)
    return result
