"""Photometric distortions: colors change, places do not.

The paper gives no ranges; those here are ours. Lightness, color and saturation change in CIE Lab, so each of them does
not change the other two, unless the result is outside the RGB gamut and is clipped. The conversion to Lab and back
changes values by 0.1 % of the range, since OpenCV interpolates its curves. So severity 0 is not an exact identity.
"""

from collections.abc import Callable

import cv2
import numpy as np

from lpips_repro.distortions.registry import Amount, draw_sign, register_distortion

LIGHTNESS = 35.0  # CIE L* (of 100) added or subtracted at severity 1
COLOR = 40.0  # distance in the a*b* plane at severity 1
CONTRAST = 2.8  # factor, or its inverse, at severity 1
SATURATION = 2.5  # factor of the chroma at severity 1 if it is raised; if it is lowered, severity 1 is gray


@register_distortion("photometric", Amount("L*", "of 100, up or down", 0, LIGHTNESS))
def lightness_shift(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Add or subtract up to 35 of the 100 units of L*."""
    shift = draw_sign(rng) * LIGHTNESS * severity
    return _in_lab(image, lambda lab: lab + np.array([shift, 0, 0], np.float32))


@register_distortion("photometric", Amount("shift in a*b*", "units", 0, COLOR))
def color_shift(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Move every color in one random direction of the a*b* plane, up to 40 units."""
    angle = rng.uniform(0, 2 * np.pi)
    shift = COLOR * severity * np.array([0, np.cos(angle), np.sin(angle)])
    return _in_lab(image, lambda lab: lab + shift.astype(np.float32))


@register_distortion("photometric", Amount("factor", "or its inverse", 1, CONTRAST, geometric=True))
def contrast(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Multiply the differences from the mean of each channel by up to 2.8, or down to 1/2.8."""
    mean = image.mean(axis=(0, 1), keepdims=True)
    factor = CONTRAST ** (draw_sign(rng) * severity)
    return np.clip(mean + factor * (image - mean), 0, 1).astype(np.float32)


@register_distortion("photometric", Amount("factor", "if raised", 1, SATURATION), Amount("factor", "if lowered", 1, 0))
def saturation(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Multiply the chroma by up to 2.5, or down to 0."""
    factor = 1 + (SATURATION - 1) * severity if draw_sign(rng) > 0 else 1 - severity
    return _in_lab(image, lambda lab: lab * np.array([1, factor, factor], np.float32))


def _in_lab(image: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    lab = change(cv2.cvtColor(image, cv2.COLOR_RGB2Lab))
    lab[..., 0] = lab[..., 0].clip(0, 100)
    return cv2.cvtColor(lab, cv2.COLOR_Lab2RGB).clip(0, 1)
