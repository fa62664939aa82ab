"""The mask of LPIPS: weights of pixels."""

from collections.abc import Mapping

import torch
from torch import Tensor

VALUES, LARGEST = "mask", "largest"


def check_mask_form(mask: Tensor, image: Tensor, spatial: bool) -> None:
    """Raise ValueError unless a mask is a floating point or bool tensor (N or 1, 1, H, W) on the images' device.

    Args:
        mask: the mask; image: the images.
        spatial: whether the metric returns maps of distances, for which no mask is allowed.
    """
    if spatial:
        raise ValueError("mask given with spatial=True, which returns every place: multiply the map by the mask")
    wanted = (image.shape[0], 1, *image.shape[2:])
    if not isinstance(mask, Tensor) or (mask.shape != wanted and mask.shape != (1, *wanted[1:])):
        found = tuple(mask.shape) if isinstance(mask, Tensor) else type(mask).__name__
        raise ValueError(f"mask is {found}: expected a tensor of shape {tuple(wanted)}")
    if not (mask.dtype.is_floating_point or mask.dtype is torch.bool) or mask.device != image.device:
        raise ValueError(
            f"mask is {mask.dtype} on {mask.device}: expected a floating point or bool tensor on {image.device}"
        )


def mask_values(mask: Tensor | None) -> dict[str, Tensor]:
    """The tensors whose extremes `check_mask_values` needs."""
    if mask is None:
        return {}
    mask = _as_float(mask.detach())
    return {VALUES: mask, LARGEST: mask.amax(dim=(1, 2, 3))}


def scaled_mask(mask: Tensor, count: int, dtype: torch.dtype) -> Tensor:
    """A mask (count, 1, H, W), divided by its largest weight in each image: no sum of weights overflows or vanishes."""
    mask = _as_float(mask).expand(count, -1, -1, -1)
    return (mask / mask.amax(dim=(1, 2, 3), keepdim=True)).to(dtype)


def _as_float(mask: Tensor) -> Tensor:
    return mask.to(torch.promote_types(mask.dtype, torch.float32))


def check_mask_values(extremes: Mapping[str, tuple[float, float]]) -> None:
    """Raise ValueError if a mask has a negative or non-finite value, or is 0 everywhere in an image.

    Args:
        extremes: the least and the largest value of each of `mask_values`. Without a mask nothing is checked.
    """
    if VALUES not in extremes:
        return
    least, most = extremes[VALUES]
    if not (least >= 0 and most < float("inf")):  # written so that NaN fails too
        raise ValueError(f"mask has values in [{least:g}, {most:g}]: expected finite weights of at least 0")
    if extremes[LARGEST][0] == 0:
        raise ValueError("mask is 0 everywhere in an image: expected a weight above 0 in each image")
