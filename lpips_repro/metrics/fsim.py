"""FSIM and FSIMc: similarity of phase congruency, gradient magnitude and, for FSIMc, chrominance.

    FSIM = sum(S_PC S_G PC_m) / sum(PC_m),  PC_m = max(PC_x, PC_y)
    FSIMc = sum(S_PC S_G real((S_I S_Q)^lambda) PC_m) / sum(PC_m)
    S_A = (2 A_x A_y + T) / (A_x^2 + A_y^2 + T)

L. Zhang, L. Zhang, X. Mou and D. Zhang, FSIM: A Feature Similarity Index for Image Quality Assessment, IEEE
Transactions on Image Processing 20(8), 2011. Phase congruency is computed as in the authors' MATLAB code: P. Kovesi,
Image Features from Phase Congruency, Videre 1(3), 1999, with his noise compensation per orientation.
"""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from lpips_repro.color import weighted_sum
from lpips_repro.devices import send
from lpips_repro.metrics.inputs import GREY_OR_RGB, as_rgb, at_least_float32, check_images
from lpips_repro.metrics.registry import register_metric
from lpips_repro.metrics.tracing import is_recorded

T1, T2, T3, T4 = 0.85, 160.0, 200.0, 200.0
LAMBDA = 0.03
Y_WEIGHTS, I_WEIGHTS, Q_WEIGHTS = (0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)

SCALES, ORIENTATIONS = 4, 4
MIN_WAVELENGTH, WAVELENGTH_MULTIPLIER = 6.0, 2.0
SIGMA_F = 0.55
THETA_RATIO = 1.2
LOW_PASS_CUTOFF, LOW_PASS_ORDER = 0.45, 15
NOISE_DEVIATIONS, NOISE_RESCALING = 2.0, 1.7
EPSILON = 1e-4

# Lower bound for arguments of square roots and powers: the gradient at 0 is then 0, not infinite.
TINY = 1e-20
# The smallest image: one wavelength of the finest filter.
MIN_SIZE = int(MIN_WAVELENGTH)
# Pixels per block. On a CPU, the 16 filter responses of a block fit the cache.
BLOCK_PIXELS = {"cpu": 2**14, "other": 2**20}


@register_metric(to_distance=lambda value: 1 - value)
def fsim(x: Tensor, y: Tensor, *, validate: bool = True) -> Tensor:
    """Feature similarity of the luminance of two batches of images. The distance is 1 - FSIM.

    If neither image has any phase congruency (both are flat), all pixels have equal weights.

    Args:
        x, y: shape (N, 3, H, W), RGB, or (N, 1, H, W), gray; in [0, 1], with sides of at least 6 pixels.
        validate: whether to check that values are in [0, 1].

    Returns:
        N values in (0, 1], 1 for identical images.

    Raises:
        ValueError: if the images differ in shape, dtype or device, have values outside [0, 1] or are too small.
    """
    check_images(x, y, 0.0, 1.0, MIN_SIZE, channels=GREY_OR_RGB, validate=validate)
    return _in_blocks(as_rgb(x), as_rgb(y), chromatic=False)


@register_metric(to_distance=lambda value: 1 - value)
def fsimc(x: Tensor, y: Tensor, *, validate: bool = True) -> Tensor:
    """Feature similarity of two batches of images, with the chrominance term. The distance is 1 - FSIMc.

    Arguments, result and errors are those of `fsim`, but images must be RGB. If S_I S_Q is negative (opposite colors),
    the real part of its complex power is used.
    """
    check_images(x, y, 0.0, 1.0, MIN_SIZE, validate=validate)
    return _in_blocks(x, y, chromatic=True)


def _in_blocks(x: Tensor, y: Tensor, chromatic: bool) -> Tensor:
    x, y = at_least_float32(x), at_least_float32(y)
    if is_recorded(x):  # the batch size is a symbol, or may change later
        return _feature_similarity(x, y, chromatic)
    pixels = BLOCK_PIXELS["cpu" if x.device.type == "cpu" else "other"]
    count = max(1, pixels // x[0, 0].numel())
    blocks = zip(x.split(count), y.split(count), strict=True)
    return torch.cat([_feature_similarity(a, b, chromatic) for a, b in blocks])


def _feature_similarity(x: Tensor, y: Tensor, chromatic: bool) -> Tensor:
    rgb = _downsample(torch.cat((x, y)) * 255)
    luma = weighted_sum(rgb, Y_WEIGHTS)
    congruency = _pair(_phase_congruency(luma))
    weight = torch.maximum(*congruency)
    similarity = _similarity(*congruency, T1) * _similarity(*_pair(_gradient_magnitude(luma)), T2)
    if chromatic:
        s_i = _similarity(*_pair(weighted_sum(rgb, I_WEIGHTS)), T3)
        s_q = _similarity(*_pair(weighted_sum(rgb, Q_WEIGHTS)), T4)
        similarity = similarity * _real_power(s_i * s_q)
    total = weight.sum(dim=(1, 2), keepdim=True)
    weight = torch.where(total > EPSILON, weight, 1)
    return (similarity * weight).sum(dim=(1, 2)) / weight.sum(dim=(1, 2))


def _pair(values: Tensor) -> tuple[Tensor, Tensor]:
    """The values of x and the values of y, from a tensor that holds them one after the other."""
    of_x, of_y = values.unflatten(0, (2, -1)).unbind()  # not chunk(2): torch.export makes a condition on N of it
    return of_x, of_y


def _downsample(image: Tensor) -> Tensor:
    """Every F-th value of a mean filter over F x F pixels, as MATLAB's conv2(..., 'same')(1:F:end, 1:F:end)."""
    height, width = image.shape[-2:]
    # Not round(): it rounds halves to even, and MATLAB rounds them up.
    factor = math.floor(min(height, width) / 256 + 0.5)
    if factor <= 1:
        return image
    before = (factor - 1) // 2
    # A negative padding crops the pixels that no kept window reaches.
    right, bottom = (factor * math.ceil(size / factor) - size - before for size in (width, height))
    return F.avg_pool2d(F.pad(image, (before, right, before, bottom)), factor)


def _phase_congruency(luma: Tensor) -> Tensor:
    """Phase congruency of (N, H, W) images on the 0-255 scale, N x H x W values in [0, 1]."""
    # Filters made while a call is only recorded must not be cached for later calls.
    make = _filters.__wrapped__ if is_recorded(luma) else _filters
    filters, noise_gain = make(*luma.shape[-2:], luma.dtype, luma.device)
    # The filters ignore the mean. Subtracting it first avoids rounding errors.
    spectrum = torch.fft.fft2(luma - luma.mean(dim=(1, 2), keepdim=True))
    responses = torch.view_as_real(torch.fft.ifft2(spectrum[:, None, None, None] * filters))
    even, odd = responses.unbind(1)
    power = torch.addcmul(even * even, odd, odd).clamp_min(TINY)
    sum_even, sum_odd = responses.sum(dim=2, keepdim=True).unbind(1)
    sum_power = torch.addcmul(sum_even * sum_even, sum_odd, sum_odd).clamp_min(TINY).squeeze(1)
    # Projections on the mean phase minus the deviations from it. The division by the mean phase's length comes last.
    deviation = torch.addcmul(even * sum_odd, odd, sum_even, value=-1).abs().sum(dim=1)
    energy = (sum_power - deviation) / (sum_power.sqrt() + EPSILON)
    threshold = (_median(power[:, 0].flatten(-3, -2).mT) * noise_gain).sqrt()
    energy = (energy - threshold[:, :, None, None]).clamp_min(0).sum(dim=1)
    amplitude = power.sqrt().sum(dim=(1, 2))
    # The bound matters only in flat images, whose responses are rounding errors.
    return torch.add(*energy.unbind(-1)) / torch.add(*amplitude.unbind(-1)).clamp_min(EPSILON)


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # cached filters must also work in later calls that need gradients
def _filters(height: int, width: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Log-Gabor filters, (2, SCALES, ORIENTATIONS / 2, H, W), and the noise gains, (ORIENTATIONS / 2, 2).

    A filter covers one half of the frequency plane, so its response to an image is complex: its real part (even) is the
    response to the filter's symmetric part, its imaginary part (odd) that to the antisymmetric part. First axis: even,
    odd. Each of these responses is real, so that one complex FFT computes two of them, of neighboring orientations, as
    its real and imaginary parts.
    """
    y, x = torch.meshgrid(_frequencies(height), _frequencies(width), indexing="ij")
    radius, theta = torch.hypot(x, y), torch.atan2(-y, x)
    low_pass = 1 / (1 + (radius / LOW_PASS_CUTOFF) ** (2 * LOW_PASS_ORDER))
    # The filter leaves out frequency 0, so that any value but 0 works there.
    log_radius = torch.where(radius > 0, radius, 1).log()
    centers = -torch.tensor(
        [MIN_WAVELENGTH * WAVELENGTH_MULTIPLIER**s for s in range(SCALES)], dtype=torch.float64, device="cpu"
    ).log()
    radial = torch.exp(-((log_radius - centers[:, None, None]) ** 2) / (2 * math.log(SIGMA_F) ** 2)) * low_pass
    radial = radial * (radius > 0)
    angles = torch.arange(ORIENTATIONS, dtype=torch.float64, device="cpu")[:, None, None] * math.pi / ORIENTATIONS
    # Angular distance, without the jump at +-pi.
    distance = torch.atan2(torch.sin(theta - angles), torch.cos(theta - angles))
    theta_sigma = math.pi / ORIENTATIONS / THETA_RATIO
    angular = torch.exp(-(distance**2) / (2 * theta_sigma**2))
    filters = radial[:, None] * angular

    mirrored = filters.flip(-2, -1).roll((1, 1), (-2, -1))
    symmetric, antisymmetric = (filters + mirrored) / 2, (filters - mirrored) / 2
    first, second = torch.stack((symmetric + 0j, antisymmetric * -1j)).unflatten(2, (-1, 2)).unbind(3)
    noise_gain = _noise_gain(filters, symmetric).unflatten(0, (-1, 2))
    return send(first + 1j * second, device, torch.promote_types(dtype, torch.complex64)), send(
        noise_gain, device, dtype
    )


def _frequencies(size: int) -> Tensor:
    """Kovesi's frequencies, in the order of an FFT. For odd sizes they reach +-0.5, unlike those of an FFT."""
    steps = torch.arange(size, dtype=torch.float64, device="cpu") - size // 2
    frequencies: Tensor = torch.fft.ifftshift(steps / (size - size % 2))
    return frequencies


def _noise_gain(filters: Tensor, symmetric: Tensor) -> Tensor:
    """The squared noise threshold divided by the median squared response of the finest filter, per orientation.

    For Gaussian noise, the median squared response divided by -log 0.5 is the mean squared response. The mean divided
    by the filter's energy is the noise power. The noise power times the energy of the sum over scales (computed from
    frequencies, by Parseval) is the squared Rayleigh parameter of the noise in the summed response. The threshold is
    `NOISE_DEVIATIONS` deviations above that distribution's mean, divided by Kovesi's empirical 1.7.
    """
    noise_power = 1 / -math.log(0.5) / filters[0].square().sum(dim=(-2, -1))
    tau_squared = noise_power * symmetric.sum(dim=0).square().sum(dim=(-2, -1))
    level = math.sqrt(math.pi / 2) + NOISE_DEVIATIONS * math.sqrt(2 - math.pi / 2)
    return tau_squared * (level / NOISE_RESCALING) ** 2


def _median(values: Tensor) -> Tensor:
    """Median over the last axis. For an even number of values it is the mean of the two middle ones, as in MATLAB."""
    size = values.shape[-1]
    lower_half = values.topk(size // 2 + 1, largest=False, sorted=False).values
    return lower_half.topk(2 - size % 2).values.mean(dim=-1)


def _gradient_magnitude(luma: Tensor) -> Tensor:
    """Length of the Scharr gradient. Pixels outside the image are zero."""
    padded = F.pad(luma, (1, 1, 1, 1))
    across = padded[..., 2:] - padded[..., :-2]
    down = padded[..., 2:, :] - padded[..., :-2, :]
    gradient_x = (3 * (across[..., :-2, :] + across[..., 2:, :]) + 10 * across[..., 1:-1, :]) / 16
    gradient_y = (3 * (down[..., :-2] + down[..., 2:]) + 10 * down[..., 1:-1]) / 16
    return torch.addcmul(gradient_x * gradient_x, gradient_y, gradient_y).clamp_min(TINY).sqrt()


def _similarity(a: Tensor, b: Tensor, constant: float) -> Tensor:
    return (2 * a * b + constant) / (a * a + b * b + constant)


def _real_power(value: Tensor) -> Tensor:
    """The real part of the complex power value^LAMBDA of real values."""
    magnitude = value.abs().clamp_min(TINY) ** LAMBDA
    return torch.where(value < 0, magnitude * math.cos(math.pi * LAMBDA), magnitude)
