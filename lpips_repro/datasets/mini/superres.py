"""Superresolution: a downscaled patch, upscaled by real algorithms.

Each algorithm takes the small image, float32 (h, w, 3) in [0, 1], and the factor, and returns the large image.
"""

import cv2
import numpy as np
from scipy import ndimage
from skimage import restoration

FACTORS = (2, 3, 4)
BACK_PROJECTIONS = 10


def draw_outputs(patch: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Outputs of two different algorithms for the same small image.

    Args:
        patch: float32 (96, 96, 3) in [0, 1].
        rng: chooses the factor and the algorithms.
    """
    factor = int(rng.choice(FACTORS))
    small = _scale_down(patch, factor)
    first, second = rng.choice(len(ALGORITHMS), 2, replace=False)
    return ALGORITHMS[first](small, factor), ALGORITHMS[second](small, factor)


def nearest(small: np.ndarray, factor: int) -> np.ndarray:
    """Repeat every pixel."""
    return _scale_up(small, factor, cv2.INTER_NEAREST)


def bilinear(small: np.ndarray, factor: int) -> np.ndarray:
    """Linear interpolation."""
    return _scale_up(small, factor, cv2.INTER_LINEAR)


def bicubic(small: np.ndarray, factor: int) -> np.ndarray:
    """Keys' cubic convolution."""
    return _scale_up(small, factor, cv2.INTER_CUBIC)


def lanczos(small: np.ndarray, factor: int) -> np.ndarray:
    """Windowed sinc with 8x8 taps."""
    return _scale_up(small, factor, cv2.INTER_LANCZOS4)


def spline(small: np.ndarray, factor: int) -> np.ndarray:
    """Interpolating B-spline of order 5."""
    return ndimage.zoom(small, (factor, factor, 1), order=5, mode="reflect", grid_mode=True)


def bicubic_sharpened(small: np.ndarray, factor: int) -> np.ndarray:
    """Bicubic interpolation and an unsharp mask whose width depends on the factor."""
    large = bicubic(small, factor)
    return large + 0.9 * (large - cv2.GaussianBlur(large, (0, 0), 0.5 * factor))


def back_projection(small: np.ndarray, factor: int) -> np.ndarray:
    """Iterative back-projection (Irani and Peleg 1991), so that downscaling gives the small image again."""
    large = bicubic(small, factor)
    for _ in range(BACK_PROJECTIONS):
        large = large + bicubic(small - _scale_down(large, factor), factor)
    return large


def total_variation(small: np.ndarray, factor: int) -> np.ndarray:
    """Back-projection smoothed by total variation (Chambolle 2004), with clean edges and no texture."""
    return restoration.denoise_tv_chambolle(back_projection(small, factor), weight=0.04, channel_axis=-1)


def bilateral_sharpened(small: np.ndarray, factor: int) -> np.ndarray:
    """Bicubic interpolation with edges sharpened by a bilateral filter and an unsharp mask."""
    smooth = cv2.bilateralFilter(bicubic(small, factor).clip(0, 1), -1, 0.15, factor)
    return smooth + 1.5 * (smooth - cv2.GaussianBlur(smooth, (0, 0), 0.5 * factor))


def non_local_means(small: np.ndarray, factor: int) -> np.ndarray:
    """Back-projection averaged over similar neighborhoods (Buades et al. 2005)."""
    return restoration.denoise_nl_means(
        back_projection(small, factor), patch_size=5, patch_distance=5, h=0.04, channel_axis=-1
    )


ALGORITHMS = (
    nearest,
    bilinear,
    bicubic,
    lanczos,
    spline,
    bicubic_sharpened,
    back_projection,
    total_variation,
    bilateral_sharpened,
    non_local_means,
)


def _scale_down(image: np.ndarray, factor: int) -> np.ndarray:
    height, width = image.shape[:2]
    return cv2.resize(image, (width // factor, height // factor), interpolation=cv2.INTER_AREA)


def _scale_up(image: np.ndarray, factor: int, interpolation: int) -> np.ndarray:
    height, width = image.shape[:2]
    return cv2.resize(image, (width * factor, height * factor), interpolation=interpolation)
