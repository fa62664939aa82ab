"""Colorization: a gray patch with a few color hints, colorized by real algorithms.

Each algorithm takes the lightness, float32 (H, W) in CIE L*, the hints, and a generator for its settings. It returns
the a*b* of each pixel (H, W, 2).
"""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.linalg import splu

from lpips_repro.datasets.mini.photographs import PHOTOGRAPHS, load

HINT_COUNT = (6, 80)  # number of hints, log-uniform
LIGHTNESS_SPREAD = 8.0  # standard deviation in L* of the similarity of two pixels


class Hints(NamedTuple):
    """Pixels of known color: rows and columns (K,), and their a*b*, float32 (K, 2)."""

    rows: np.ndarray
    columns: np.ndarray
    colors: np.ndarray


def draw_outputs(patch: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Outputs of two different algorithms for the same gray patch, each with its own hints.

    Args:
        patch: float32 (H, W, 3) in [0, 1].
        rng: chooses the hints, the algorithms and their settings.
    """
    lab = cv2.cvtColor(patch, cv2.COLOR_RGB2Lab)
    first, second = rng.choice(len(ALGORITHMS), 2, replace=False)
    return _colorize(lab, ALGORITHMS[first], rng), _colorize(lab, ALGORITHMS[second], rng)


def optimization(lightness: np.ndarray, hints: Hints, rng: np.random.Generator) -> np.ndarray:
    """Spread the hints so that neighbors of similar lightness get similar colors (Levin et al. 2004)."""
    return _solve(lightness, hints, LIGHTNESS_SPREAD)


def diffusion(lightness: np.ndarray, hints: Hints, rng: np.random.Generator) -> np.ndarray:
    """Spread the hints independently of lightness, by harmonic interpolation."""
    return _solve(lightness, hints, np.inf)


def nearest_hint(lightness: np.ndarray, hints: Hints, rng: np.random.Generator) -> np.ndarray:
    """The color of the nearest hint."""
    free = np.ones(lightness.shape, bool)
    free[hints.rows, hints.columns] = False
    nearest = ndimage.distance_transform_edt(free, return_distances=False, return_indices=True)
    spread = np.zeros((*lightness.shape, 2), np.float32)
    spread[hints.rows, hints.columns] = hints.colors
    return spread[nearest[0], nearest[1]]


def gaussian_spread(lightness: np.ndarray, hints: Hints, rng: np.random.Generator) -> np.ndarray:
    """Mean of the hints, weighted by distance."""
    return _weighted(lightness, hints, rng.uniform(4, 16), np.inf)


def bilateral_spread(lightness: np.ndarray, hints: Hints, rng: np.random.Generator) -> np.ndarray:
    """Mean of the hints, weighted by distance and by similarity of lightness."""
    return _weighted(lightness, hints, rng.uniform(8, 32), LIGHTNESS_SPREAD)


def lightness_lookup(lightness: np.ndarray, hints: Hints, rng: np.random.Generator) -> np.ndarray:
    """Mean of the hints, weighted by similarity of lightness."""
    return _weighted(lightness, hints, np.inf, LIGHTNESS_SPREAD)


def one_color(lightness: np.ndarray, hints: Hints, rng: np.random.Generator) -> np.ndarray:
    """The mean of the hints for all pixels, as in a tinted photograph."""
    return np.broadcast_to(hints.colors.mean(axis=0), (*lightness.shape, 2))


def transfer(lightness: np.ndarray, hints: Hints, rng: np.random.Generator) -> np.ndarray:
    """Colors of another photograph by rank of lightness (after Welsh et al. 2002), shifted to the hints' mean."""
    photographs = PHOTOGRAPHS["train"]
    pixels = load(photographs[rng.integers(len(photographs))]).reshape(-1, 1, 3)
    other = cv2.cvtColor(pixels[rng.integers(len(pixels), size=500)], cv2.COLOR_RGB2Lab)[:, 0]
    other = other[np.argsort(other[:, 0], kind="stable")]
    # By rank, so that a dark patch can take colors from a bright photograph.
    rank = np.argsort(np.argsort(lightness, axis=None, kind="stable"), kind="stable").reshape(lightness.shape)
    taken = cv2.GaussianBlur(other[rank * len(other) // lightness.size, 1:], (0, 0), 2)
    return taken + hints.colors.mean(axis=0) - taken.mean(axis=(0, 1))


ALGORITHMS = (
    optimization,
    diffusion,
    nearest_hint,
    gaussian_spread,
    bilateral_spread,
    lightness_lookup,
    one_color,
    transfer,
)


def _colorize(lab: np.ndarray, algorithm: Callable, rng: np.random.Generator) -> np.ndarray:
    height, width = lab.shape[:2]
    count = int(np.exp(rng.uniform(np.log(HINT_COUNT[0]), np.log(HINT_COUNT[1]))))
    places = rng.choice(height * width, count, replace=False)
    rows, columns = places // width, places % width
    colors = algorithm(lab[..., 0], Hints(rows, columns, lab[rows, columns, 1:]), rng)
    colored = np.dstack([lab[..., 0], colors.astype(np.float32)])
    return cv2.cvtColor(colored, cv2.COLOR_Lab2RGB)


def _weighted(lightness: np.ndarray, hints: Hints, distance_spread: float, lightness_spread: float) -> np.ndarray:
    rows, columns, colors = hints
    y, x = np.indices(lightness.shape)[..., None]
    exponent = ((y - rows) ** 2 + (x - columns) ** 2) / (2 * distance_spread**2)
    exponent = exponent + (lightness[..., None] - lightness[rows, columns]) ** 2 / (2 * lightness_spread**2)
    weight = np.exp(exponent.min(axis=-1, keepdims=True) - exponent)
    weight /= weight.sum(axis=-1, keepdims=True)
    return (weight[..., None] * colors).sum(axis=2)


def _solve(lightness: np.ndarray, hints: Hints, spread: float) -> np.ndarray:
    """Minimize the weighted squared differences of neighbors' colors, with the hints fixed."""
    rows, columns, colors = hints
    height, width = lightness.shape
    index = np.arange(height * width).reshape(height, width)
    start = np.concatenate([index[:, :-1].ravel(), index[:-1].ravel()])
    end = np.concatenate([index[:, 1:].ravel(), index[1:].ravel()])
    difference = lightness.ravel()[start] - lightness.ravel()[end]
    # The small constant connects every pixel to some hint.
    weight = np.exp(-(difference.astype(np.float64) ** 2) / (2 * spread**2)) + 1e-3
    size = height * width
    weights = sparse.coo_matrix((weight, (start, end)), (size, size))
    weights = weights + weights.T
    held = np.zeros(size)
    held[rows * width + columns] = 1e3
    system = sparse.diags(np.asarray(weights.sum(axis=1)).ravel() + held) - weights
    target = np.zeros((size, 2))
    target[rows * width + columns] = 1e3 * colors
    return splu(system.tocsc(), permc_spec="MMD_AT_PLUS_A").solve(target).reshape(height, width, 2)
