"""Simulated observers. Their judgments follow from the formulas below and say nothing about human vision.

They replace people, so that everything that uses judgments can be run and tested. An observer is a perceptual distance
with a psychometric function. The distance is not one of the metrics that this project evaluates.

The distance is a normalized Laplacian pyramid (Laparra et al. 2016) with two changes. It has three opponent color
channels, and the chromatic ones have less weight at high spatial frequencies, like the contrast sensitivity of the eye.
Most of it compares the local energy of the responses in two directions instead of the responses. The energy changes
little if a texture moves a little, and much if the texture is blurred, roughened or bent.

The constants were set by hand so that five votes agree about as in BAPPS (66 to 84 %) and the pixelwise distance scores
clearly below the observers. The scores of SSIM and LPIPS were known then, which is another reason not to compare
metrics by scores on these judgments.
"""

import numpy as np
from scipy import ndimage

LEVELS = 4  # band-pass levels of a 64-pixel patch; the low-pass residual is 4x4
# Luma, red against green, blue against yellow, from gamma-encoded values instead of lightness.
OPPONENT = np.array([[0.299, 0.587, 0.114], [0.5, -0.5, 0.0], [-0.25, -0.25, 0.5]], np.float32)
SATURATION = np.array(
    [0.04, 0.03, 0.03], np.float32
)  # local amplitude at which a channel's response is half of its maximum
# Weight of each channel at each level, finest level first, low-pass last. Chroma counts at coarse levels.
WEIGHTS = np.array(
    [[1.5, 0.05, 0.05], [1.5, 0.2, 0.15], [1.0, 0.5, 0.4], [0.3, 0.4, 0.3], [0.1, 0.3, 0.3]],
    np.float32,
)
POINTWISE = 0.03  # share of the pointwise difference of responses; the rest compares local energy
ENERGY_WINDOW = 11  # side of the local window, in pixels of each level
BLUR = np.array([1, 4, 6, 4, 1], np.float32) / 16

SLOPE = 4.5  # 2AFC: slope over the log of the ratio of distances
NEGLIGIBLE = 0.02  # 2AFC: distance below which differences do not count
THRESHOLD, THRESHOLD_SLOPE = 0.2, 2.5  # JND: distance at which half answer "same", and the slope there
LAPSE = 0.04  # share of random answers


def perceptual_distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The observers' distance.

    Args:
        x: RGB uint8 (N, 64, 64, 3).
        y: as x.

    Returns:
        float64 (N,), 0 for equal images; about 0.2 is just noticeable for these observers, 1 is a large difference.
    """
    *bands_x, low_x = _responses(x)
    *bands_y, low_y = _responses(y)
    distance = (np.sqrt(_mean_square(low_x - low_y)) * WEIGHTS[-1]).sum(axis=1)
    for band_x, band_y, weight in zip(bands_x, bands_y, WEIGHTS[:-1], strict=True):
        pointwise = _mean_square(band_x - band_y)
        energy = sum(_mean_square(_energy(band_x, axis) - _energy(band_y, axis)) for axis in (1, 2))
        distance += (np.sqrt(POINTWISE * pointwise + (1 - POINTWISE) * energy) * weight).sum(axis=1)
    return distance


def choose_probability(d0: np.ndarray, d1: np.ndarray) -> np.ndarray:
    """2AFC: the probability of choosing p1, a logistic function of the log of the ratio of distances."""
    evidence = SLOPE * np.log((d0 + NEGLIGIBLE) / (d1 + NEGLIGIBLE))
    return LAPSE / 2 + (1 - LAPSE) / (1 + np.exp(-evidence))


def same_probability(distance: np.ndarray) -> np.ndarray:
    """JND: the probability of answering "same", a Weibull function that falls from 0.98 at distance 0 to 0.02."""
    return LAPSE / 2 + (1 - LAPSE) * 0.5 ** ((distance / THRESHOLD) ** THRESHOLD_SLOPE)


def vote(probability: np.ndarray, votes: int, rng: np.random.Generator) -> np.ndarray:
    """The share of `votes` independent observers who answer yes, float32 (N,)."""
    return (rng.binomial(votes, probability) / votes).astype(np.float32)


def _responses(images: np.ndarray) -> list[np.ndarray]:
    # Not a matrix product, whose rounding depends on the batch size.
    low = np.einsum("nhwc,oc->nhwo", images.astype(np.float32) / 255, OPPONENT)
    responses = []
    for _ in range(LEVELS):
        lower = _blur(low, BLUR)[:, ::2, ::2]
        band = low - _expand(lower, low.shape)
        responses.append(band / (SATURATION + _blur(np.abs(band), BLUR)))
        low = lower
    return [*responses, low]


def _expand(images: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    large = np.zeros(shape, np.float32)
    large[:, ::2, ::2] = 4 * images
    return _blur(large, BLUR)


def _blur(images: np.ndarray, taps: np.ndarray) -> np.ndarray:
    rows = ndimage.correlate1d(images, taps, axis=1, mode="mirror")
    return ndimage.correlate1d(rows, taps, axis=2, mode="mirror")


def _energy(band: np.ndarray, axis: int) -> np.ndarray:
    """The mean absolute difference of neighbors along an axis, in a window around each place."""
    energy = np.abs(np.diff(band, axis=axis))
    for along in (1, 2):
        energy = ndimage.uniform_filter1d(energy, ENERGY_WINDOW, axis=along, mode="nearest")
    return energy


def _mean_square(difference: np.ndarray) -> np.ndarray:
    return np.square(difference, dtype=np.float64).mean(axis=(1, 2))
