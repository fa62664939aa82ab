"""What every metric does with its two images first."""

import torch
from torch import Tensor

# Rounding in a conversion to float may overshoot the ends of the range by this much.
RANGE_TOLERANCE = 1e-4


def check_images(x: Tensor, y: Tensor, low: float, high: float, min_size: int = 1) -> None:
    """Raise ValueError unless x and y are two equally sized batches of RGB images in [low, high].

    Args:
        x, y: floating point tensors of shape (N, 3, H, W), of one dtype, on one device.
        low, high: ends of the value range.
        min_size: smallest allowed H and W.
    """
    for name, image in (("first", x), ("second", y)):
        if not isinstance(image, Tensor):
            raise ValueError(f"{name} image is a {type(image).__name__}: expected a torch.Tensor")
        if image.dtype not in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
            raise ValueError(
                f"{name} image has dtype {image.dtype}: expected a floating point tensor in [{low:g}, {high:g}]"
                " (divide uint8 by 255 first)"
            )
        if image.ndim != 4 or image.shape[1] != 3:
            raise ValueError(f"{name} image has shape {tuple(image.shape)}: expected (N, 3, H, W), RGB")
        if image.shape[0] == 0:
            raise ValueError(f"{name} image has shape {tuple(image.shape)}: expected at least one image")
        if min(image.shape[2:]) < min_size:
            raise ValueError(
                f"{name} image is {image.shape[2]} x {image.shape[3]}: expected at least {min_size} a side"
            )
    if x.shape != y.shape:
        raise ValueError(f"images have shapes {tuple(x.shape)} and {tuple(y.shape)}: expected the same shape")
    if x.dtype != y.dtype or x.device != y.device:
        raise ValueError(
            f"images are {x.dtype} on {x.device} and {y.dtype} on {y.device}: expected one dtype and device"
        )
    for name, image in (("first", x), ("second", y)):
        least, most = (value.item() for value in image.detach().aminmax())
        # Written so that NaN fails too.
        if not (least >= low - RANGE_TOLERANCE and most <= high + RANGE_TOLERANCE):
            raise ValueError(f"{name} image has values in [{least:g}, {most:g}]: expected [{low:g}, {high:g}]")


def at_least_float32(image: Tensor) -> Tensor:
    """Half precision images as float32, in which the classic metrics compute; others as they are."""
    return image.to(torch.promote_types(image.dtype, torch.float32))
