"""The paper's L2 distance: the mean squared difference, in RGB or in CIE Lab.

    RGB: mean((x' - y')^2), x' = 2 x - 1 in [-1, 1], the scale of the released evaluator
    Lab: mean((Lab(x) - Lab(y))^2 / 100^2) / 2

Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, CVPR 2018. The paper names no
color space. The released evaluator (`richzhang/PerceptualSimilarity`) uses Lab by default.
"""

import torch.nn.functional as F
from torch import Tensor

from lpips_repro.color import COLORSPACES, rgb_to_lab
from lpips_repro.errors import check_choice
from lpips_repro.metrics.inputs import GREY_OR_RGB, as_rgb, at_least_float32, check_images
from lpips_repro.metrics.registry import register_metric


@register_metric()
def l2(x: Tensor, y: Tensor, colorspace: str = "rgb", *, validate: bool = True) -> Tensor:
    """Mean squared difference of two batches of images. It is a distance: 0 for identical images.

    Args:
        x, y: shape (N, 3, H, W), RGB, or (N, 1, H, W), gray; in [0, 1].
        colorspace: "rgb" (the value is on the [-1, 1] scale) or "lab".
        validate: whether to check that values are in [0, 1].

    Returns:
        N values.

    Raises:
        ValueError: if the images differ in shape, dtype or device or have values outside [0, 1], or if the color space
            is unknown.
    """
    check_images(x, y, 0.0, 1.0, channels=GREY_OR_RGB, validate=validate)
    check_choice("colorspace", colorspace, COLORSPACES)
    x, y = at_least_float32(x), at_least_float32(y)
    if colorspace == "lab":
        x, y, scale = rgb_to_lab(as_rgb(x)) / 100, rgb_to_lab(as_rgb(y)) / 100, 0.5
    else:
        scale = 4
    return scale * F.mse_loss(x, y, reduction="none").mean(dim=(1, 2, 3))  # in one pass, without a map of differences
