"""Corruptions of the input of a denoising autoencoder: the tasks of the paper's Table 2, by name.

The paper gives no amounts; those here are ours. To add a corruption, add a decorated function to this file.
"""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from lpips_repro.distortions.noise import colored_noise
from lpips_repro.errors import check_new

Function = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


class Corruption(NamedTuple):
    """A registered corruption.

    Attributes:
        function: maps (image, amount, generator) to the corrupted image; images are float32 RGB (H, W, 3).
        amounts: the amounts from which one is drawn; unit: their unit.
    """

    function: Function
    amounts: tuple[float, ...]
    unit: str


CORRUPTIONS: dict[str, Corruption] = {}


def register_corruption(*amounts: float, unit: str) -> Callable[[Function], Function]:
    """Register a function of (image, amount, generator) under its own name.

    Args:
        amounts: the amounts from which one is drawn; unit: their unit.
    """

    def register(function: Function) -> Function:
        check_new("corruption", function.__name__, CORRUPTIONS)
        CORRUPTIONS[function.__name__] = Corruption(function, amounts, unit)
        return function

    return register


def corrupt(image: np.ndarray, name: str, amount: float, rng: np.random.Generator) -> np.ndarray:
    """The corrupted image, which is the input of a network.

    Args:
        image: float32 (H, W, 3) in [0, 1].
        name: a key of `CORRUPTIONS`; amount: its amount, in its unit.
        rng: the source of noise.

    Returns:
        float32 (H, W, 3). With noise, values may be outside [0, 1].
    """
    return np.ascontiguousarray(CORRUPTIONS[name].function(image, amount, rng), dtype=np.float32)


@register_corruption(0.0, unit="unused")
def none(image: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Return the image unchanged: autoencoding."""
    return image


@register_corruption(0.03, 0.06, 0.12, 0.2, unit="standard deviation, in units of the range")
def white_noise(image: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Add independent Gaussian noise: denoising."""
    return image + amount * rng.standard_normal(image.shape)


@register_corruption(0.03, 0.06, 0.12, 0.2, unit="standard deviation, in units of the range")
def pink_noise(image: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Add Gaussian noise with power as 1 / frequency: denoising."""
    return image + amount * colored_noise(image.shape, 1.0, rng)


@register_corruption(1.0, unit="share of the color that is removed")
def color_removal(image: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Replace colors by their luma: colorization."""
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
    return image + np.float32(amount) * (luma - image)


@register_corruption(2.0, 3.0, 4.0, unit="factor")
def downsampling(image: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Shrink by area averages, then enlarge bilinearly: superresolution."""
    height, width = image.shape[:2]
    smaller = max(1, round(width / amount)), max(1, round(height / amount))
    small = cv2.resize(image, smaller, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
