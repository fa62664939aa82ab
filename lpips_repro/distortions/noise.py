"""Noise: white noise, colored noise, and checkerboards as transposed convolutions make them.

The power spectrum of colored noise is proportional to 1 / frequency^slope. Slope -2 is violet, -1 blue, 0 white, 1 pink
and 2 brown. The paper names the colors, but gives no amplitudes; those here are ours, in units of the [0, 1] range.
Channels are independent.
"""

import numpy as np

from lpips_repro.distortions.registry import Amount, register_distortion

UNIFORM = 0.30  # half width of the uniform noise at severity 1
GAUSSIAN = 0.17  # standard deviation of the Gaussian noises at severity 1
CHECKERBOARD = 0.16  # largest amplitude of the checkerboard at severity 1

SIGMA = Amount("sigma", "of the range", 0, GAUSSIAN)


@register_distortion("noise", Amount("half width", "of the range", 0, UNIFORM))
def uniform_white_noise(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Add independent uniform noise of up to +-0.30."""
    return _add(image, rng.uniform(-UNIFORM, UNIFORM, image.shape) * severity)


@register_distortion("noise", SIGMA)
def gaussian_white_noise(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Add independent Gaussian noise of standard deviation up to 0.17."""
    return _add(image, rng.standard_normal(image.shape) * GAUSSIAN * severity)


@register_distortion("noise", SIGMA)
def gaussian_pink_noise(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Add Gaussian noise with power as 1 / frequency, of standard deviation up to 0.17."""
    return _add(image, colored_noise(image.shape, 1.0, rng) * GAUSSIAN * severity)


@register_distortion("noise", SIGMA)
def gaussian_blue_noise(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Add Gaussian noise with power as frequency, of standard deviation up to 0.17."""
    return _add(image, colored_noise(image.shape, -1.0, rng) * GAUSSIAN * severity)


@register_distortion("noise", SIGMA)
def gaussian_colored_noise(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Add Gaussian noise of a random color between violet and brown, of standard deviation up to 0.17."""
    return _add(image, colored_noise(image.shape, rng.uniform(-2, 2), rng) * GAUSSIAN * severity)


@register_distortion("noise", Amount("largest amplitude", "of the range", 0, CHECKERBOARD))
def checkerboard(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Add a checkerboard of squares of one or two pixels, with an amplitude of up to 0.16 per channel."""
    height, width = image.shape[:2]
    side = rng.integers(1, 3)
    row, column = rng.integers(0, 2 * side, 2)
    squares = (np.arange(height)[:, None] + row) // side + (np.arange(width) + column) // side
    amplitude = CHECKERBOARD * severity * rng.uniform(0.4, 1, 3)
    return _add(image, (1 - 2 * (squares % 2))[..., None] * amplitude)


def colored_noise(shape: tuple[int, int, int], slope: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise with power as 1 / frequency^slope, mean 0 and standard deviation 1 in every channel.

    Args:
        shape: height, width and channels.
        slope: -2 violet, -1 blue, 0 white, 1 pink, 2 brown.
        rng: the source of randomness.

    Returns:
        float64 of this shape.
    """
    height, width, _ = shape
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = np.inf if slope > 0 else 1  # gives a finite factor; the mean is subtracted below
    spectrum = np.fft.rfft2(rng.standard_normal(shape), axes=(0, 1)) * frequency[..., None] ** (-slope / 2)
    noise = np.fft.irfft2(spectrum, s=(height, width), axes=(0, 1))
    noise -= noise.mean(axis=(0, 1))
    return noise / noise.std(axis=(0, 1))


def _add(image: np.ndarray, noise: np.ndarray) -> np.ndarray:
    return np.clip(image + noise, 0, 1).astype(np.float32)
