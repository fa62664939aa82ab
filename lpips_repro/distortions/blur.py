"""The two blurs. The paper gives no widths; those here are ours, in pixels of the image."""

import cv2
import numpy as np

from lpips_repro.distortions.registry import Amount, register_distortion

GAUSSIAN = 3.2  # standard deviation at severity 1
BILATERAL_SPACE = 5.0  # standard deviation over pixels at severity 1
BILATERAL_RANGE = 0.5  # standard deviation over values at severity 1: of the summed difference of the three channels
SMALLEST = 0.05  # below this, neither filter changes an 8-bit value; OpenCV would replace 0 by a default


@register_distortion("blur", Amount("sigma", "px", 0, GAUSSIAN))
def gaussian_blur(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Blur with a Gaussian of standard deviation up to 3.2 pixels."""
    sigma = max(GAUSSIAN * severity, SMALLEST)
    return cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101).clip(0, 1)


@register_distortion(
    "blur", Amount("sigma", "px", 0, BILATERAL_SPACE), Amount("sigma of values", "of the range", 0, BILATERAL_RANGE)
)
def bilateral_filter(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth texture and keep edges, with standard deviations up to 5 pixels and 0.5 of the range.

    Below severity 0.05, nothing changes.
    """
    if severity < SMALLEST:
        return image.copy()
    smooth = cv2.bilateralFilter(image, -1, BILATERAL_RANGE * severity, BILATERAL_SPACE * severity)
    return smooth.clip(0, 1)
