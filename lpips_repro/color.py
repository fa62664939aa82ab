"""Conversions of RGB images.

CIE L*a*b* follows scikit-image's rgb2lab with the same constants: sRGB primaries, the D65 white point of the 2 degree
observer, and rounded thresholds of the transfer functions:

    linear = c / 12.92 if c <= 0.04045, else ((c + 0.055) / 1.055)^2.4
    f(t) = 7.787 t + 16 / 116 if t <= 0.008856, else t^(1/3),  t = XYZ / white
    L = 116 f(Y) - 16,  a = 500 (f(X) - f(Y)),  b = 200 (f(Y) - f(Z))
"""

import torch
from torch import Tensor

COLORSPACES = ("rgb", "lab")
XYZ_FROM_RGB = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
WHITE_D65 = (0.95047, 1.0, 1.08883)
GAMMA_THRESHOLD = 0.04045
CUBE_ROOT_THRESHOLD = 0.008856


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """CIE L*a*b* of sRGB images, as skimage.color.rgb2lab (D65, 2 degree observer).

    Args:
        rgb: shape (N, 3, H, W), in [0, 1].

    Returns:
        shape (N, 3, H, W): L in [0, 100], a and b within about +-110. Gradients are finite everywhere, also for black.
    """
    # Each branch is clamped to its own domain, since the gradient of the other branch would be NaN.
    curve = ((rgb.clamp_min(GAMMA_THRESHOLD) + 0.055) / 1.055) ** 2.4
    linear = torch.where(rgb > GAMMA_THRESHOLD, curve, rgb / 12.92)
    x, y, z = (
        _cube_root(weighted_sum(linear, [weight / white for weight in weights]))
        for weights, white in zip(XYZ_FROM_RGB, WHITE_D65, strict=True)
    )
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), dim=1)


def weighted_sum(rgb: Tensor, weights: list[float] | tuple[float, ...]) -> Tensor:
    """The weighted sum of the three channels, (N, 3, H, W) to (N, H, W).

    It is not a matrix product, so that equal pixels give exactly equal sums, and no device rounds to TF32.
    """
    red, green, blue = rgb.unbind(1)
    return red * weights[0] + green * weights[1] + blue * weights[2]


def shift_and_scale(images: Tensor, shift: tuple[float, ...], scale: tuple[float, ...] = (1.0, 1.0, 1.0)) -> Tensor:
    """(images - shift) / scale per channel.

    The numbers are arguments of operations, not tensors, which would have to be sent to a GPU.

    Args:
        images: shape (N, 3, H, W); shift, scale: one number per channel.

    Returns:
        (N, 3, H, W), channels last in memory.
    """
    channels = [(c - s) / f for c, s, f in zip(images.unbind(1), shift, scale, strict=True)]
    return torch.stack(channels, dim=-1).permute(0, 3, 1, 2)


def truncate_to_uint8(rgb: Tensor) -> Tensor:
    """Truncate images to uint8 as the released evaluator does, for compatibility only.

    The evaluator normalizes u / 255 to [-1, 1] in float32, and converts back to uint8 by truncation instead of
    rounding, so that some values lose one gray level. This is not differentiable.

    Args:
        rgb: any shape, in [0, 1].

    Returns:
        the same shape and dtype, in whole gray levels divided by 255.
    """
    normalized = (rgb.detach().float() - 0.5) / 0.5
    return ((normalized + 1) * (255 / 2)).to(torch.uint8).to(rgb.dtype) / 255


def _cube_root(t: Tensor) -> Tensor:
    curve = t.clamp_min(CUBE_ROOT_THRESHOLD) ** (1 / 3)
    return torch.where(t > CUBE_ROOT_THRESHOLD, curve, 7.787 * t + 16 / 116)
