"""Peak signal-to-noise ratio in decibels: 10 log10(255^2 / MSE), with the MSE over pixels and channels on the 0-255
scale.

It ranks pairs exactly as the L2 distance in RGB does.
"""

import torch
from torch import Tensor

from lpips_repro.metrics.inputs import GREY_OR_RGB, at_least_float32, check_images
from lpips_repro.metrics.registry import register_metric


@register_metric(to_distance=torch.neg)
def psnr(x: Tensor, y: Tensor, *, validate: bool = True) -> Tensor:
    """PSNR of two batches of images: larger is more similar. The distance is its negative.

    The value is +inf (the distance -inf), with a gradient of zero, for identical images and for images whose mean
    squared difference is below the smallest normal number of the dtype.

    Args:
        x, y: shape (N, 3, H, W), RGB, or (N, 1, H, W), gray; in [0, 1].
        validate: whether to check that values are in [0, 1].

    Returns:
        N values, in dB.

    Raises:
        ValueError: if the images differ in shape, dtype or device or have values outside [0, 1].
    """
    check_images(x, y, 0.0, 1.0, channels=GREY_OR_RGB, validate=validate)
    # The peak is 1 on the scale of the input.
    mse = (at_least_float32(x) - at_least_float32(y)).square().mean(dim=(1, 2, 3))
    differ = mse >= torch.finfo(mse.dtype).tiny
    # The logarithm gets no zero: its infinite slope times the zero slope of the square would be NaN.
    return torch.where(differ, -10 * torch.where(differ, mse, 1).log10(), torch.inf)
