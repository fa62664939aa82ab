"""Spatial distortions: places change, colors do not.

The paper gives no amplitudes; those here are ours, in pixels unless another unit is named. Its "linear" and "cubic"
warps are implemented as random displacements at the nodes of a coarse grid, interpolated linearly and cubically.
Outside its border, the image is mirrored.
"""

import cv2
import numpy as np

from lpips_repro.distortions.registry import Amount, draw_sign, register_distortion

SHIFT = 7.0  # length of the shift at severity 1
ROTATION, STRETCH, SHEAR = np.deg2rad(20), 0.25, 0.25  # affine at severity 1: angle, log of the factor, slope
CORNER = 0.16  # largest displacement of a corner at severity 1, as a share of the shorter side
WARP = 5.0  # largest displacement of a grid node at severity 1
WARP_GRID = 16  # a side of n pixels has n // 16 + 2 nodes: 12 pixels apart for 96 pixels, almost 16 for large images
GHOST = 0.5  # weight of the copy at severity 1
GHOST_DISTANCE = (2.0, 8.0)  # range of the distance of the copy
ABERRATION = 3.5  # displacement of red from green, and of green from blue, at severity 1

DISPLACEMENT = Amount("nodes at most", "px in x and in y", 0, WARP)


@register_distortion("spatial", Amount("length", "px", 0, SHIFT))
def shift(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Move the image in a random direction by up to 7 pixels."""
    x, y = _grid(image)
    dx, dy = _direction(rng) * SHIFT * severity
    return _sample(image, x + dx, y + dy)


@register_distortion(
    "spatial",
    Amount("angle at most", "deg", 0, float(np.rad2deg(ROTATION))),
    Amount("factor", "or its inverse", 1, float(np.exp(STRETCH)), geometric=True),
    Amount("slope", "of the shear", 0, SHEAR),
)
def affine(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Rotate, scale and shear about the center, by up to 20 degrees, a factor of 1.28 and a slope of 0.25 together.

    Each of the three has a random direction, and 30 to 100 % of the largest amount at this severity.
    """
    turn, scale, shear = rng.uniform(0.3, 1, 3) * rng.choice((-1, 1), 3) * severity
    cos, sin = np.cos(turn * ROTATION), np.sin(turn * ROTATION)
    matrix = np.exp(scale * STRETCH) * np.array([[cos, -sin], [sin, cos]]) @ np.array([[1, shear * SHEAR], [0, 1]])
    x, y = _grid(image)
    middle_x, middle_y = x.mean(), y.mean()
    x, y = x - middle_x, y - middle_y
    return _sample(
        image,
        matrix[0, 0] * x + matrix[0, 1] * y + middle_x,
        matrix[1, 0] * x + matrix[1, 1] * y + middle_y,
    )


@register_distortion("spatial", Amount("corners at most", "% of the shorter side", 0, 100 * CORNER))
def homography(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Move each of the four corners by up to 16 % of the shorter side in x and y."""
    height, width = image.shape[:2]
    corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], np.float32)
    moved = corners + rng.uniform(-1, 1, (4, 2)) * CORNER * min(height, width) * severity
    matrix = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
    warped = cv2.warpPerspective(
        image, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    return warped.clip(0, 1)


@register_distortion("spatial", DISPLACEMENT)
def linear_warp(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Displace the nodes of a grid of 10 to 16 pixels by up to 5 pixels, linear between them: creases at grid lines."""
    return _warp(image, severity, rng, cv2.INTER_LINEAR)


@register_distortion("spatial", DISPLACEMENT)
def cubic_warp(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Displace the nodes of a grid of 10 to 16 pixels by up to 5 pixels, cubic between them: smooth waves."""
    return _warp(image, severity, rng, cv2.INTER_CUBIC)


@register_distortion("spatial", Amount("weight", "of the copy", 0, GHOST))
def ghosting(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Blend with a copy 2 to 8 pixels away, of weight up to one half."""
    x, y = _grid(image)
    dx, dy = _direction(rng) * rng.uniform(*GHOST_DISTANCE)
    weight = np.float32(GHOST * severity)
    return (1 - weight) * image + weight * _sample(image, x + dx, y + dy)


@register_distortion("spatial", Amount("red and blue", "px from green", 0, ABERRATION))
def chromatic_aberration(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Move red and blue in opposite random directions, by up to 3.5 pixels from green."""
    x, y = _grid(image)
    dx, dy = _direction(rng) * ABERRATION * severity * draw_sign(rng)
    red = _sample(image[..., 0], x + dx, y + dy)
    blue = _sample(image[..., 2], x - dx, y - dy)
    return np.stack([red, image[..., 1], blue], axis=-1)


def _warp(image: np.ndarray, severity: float, rng: np.random.Generator, interpolation: int) -> np.ndarray:
    height, width = image.shape[:2]
    nodes = (height // WARP_GRID + 2, width // WARP_GRID + 2, 2)
    coarse = rng.uniform(-WARP, WARP, nodes).astype(np.float32) * np.float32(severity)
    displacement = cv2.resize(coarse, (width, height), interpolation=interpolation)
    x, y = _grid(image)
    return _sample(image, x + displacement[..., 0], y + displacement[..., 1])


def _grid(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    height, width = image.shape[:2]
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return x.astype(np.float32), y.astype(np.float32)


def _direction(rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)])


def _sample(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = x.astype(np.float32), y.astype(np.float32)
    return cv2.remap(image, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101).clip(0, 1)
