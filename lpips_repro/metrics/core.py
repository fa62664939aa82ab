"""LPIPS from feature maps: see `lpips_repro.metrics.lpips` for the equation."""

import contextlib

import torch
import torch.nn.functional as F
from torch import Tensor

from lpips_repro.metrics.inputs import at_least_float32, is_autocast

# Added to the norm of a feature vector, as in the released code.
NORM_EPSILON = 1e-10


def unit_normalize(feature_map: Tensor) -> Tensor:
    """A feature map (N, C, H, W) with vectors of channels of length 1, at least float32."""
    # vector_norm rather than sqrt(sum(f^2)): its gradient at zero is zero, not NaN.
    feature_map = at_least_float32(feature_map)
    norm = torch.linalg.vector_norm(feature_map, dim=1, keepdim=True) + NORM_EPSILON
    return feature_map * norm.reciprocal()  # one division per place, not one per channel


def layer_distances(feature_map: Tensor, batches: int, lin: Tensor | None, mask: Tensor | None = None) -> Tensor:
    """What a layer adds to the distances of the first of several batches from each of the others.

    Args:
        feature_map: of all batches, one after the other, (batches x N, C, H', W').
        batches: how many there are.
        lin: lin weights (C,), of which negative ones count as 0; None for weights of 1.
        mask: weights of places (N, 1, H, W), of which each place of the map takes the mean over its part of the image.

    Returns:
        (batches - 1, N), at least float32.
    """
    with without_autocast(feature_map):
        by_place = _by_place(feature_map, batches, lin)
        if mask is None:
            return by_place.mean(dim=2)
        weights = F.interpolate(mask.to(by_place.dtype), size=feature_map.shape[2:], mode="area").flatten(1)
        return (by_place * weights).sum(dim=2) / weights.sum(dim=1)


def layer_distance_maps(feature_map: Tensor, batches: int, lin: Tensor | None, size: tuple[int, int]) -> Tensor:
    """The same at every place, scaled to the size (H, W) of the images: (batches - 1, N, 1, H, W)."""
    with without_autocast(feature_map):
        by_place = _by_place(feature_map, batches, lin)
        maps = by_place.view(-1, 1, *feature_map.shape[2:])
        maps = F.interpolate(maps, size=size, mode="bilinear", align_corners=False)
        return maps.unflatten(0, (batches - 1, -1))


def _by_place(feature_map: Tensor, batches: int, lin: Tensor | None) -> Tensor:
    """Weighted squared differences of the first batch from each of the others, (batches - 1, N, places)."""
    # As vectors of channels, which is how they are in memory.
    vectors = unit_normalize(feature_map).permute(0, 2, 3, 1)
    _, height, width, channels = vectors.shape
    ref, *others = vectors.reshape(batches, -1, channels).unbind()
    weight = vectors.new_ones(channels) if lin is None else _at_least_zero(lin).to(vectors.dtype)
    by_place = torch.stack([_squared_difference(ref, other) @ weight for other in others])
    return by_place.view(batches - 1, -1, height * width)


def _at_least_zero(lin: Tensor) -> Tensor:
    # As clamp(min=0), but with the gradient of the released package at 0, where many of the official weights are.
    return torch.where(lin < 0, 0.0, lin)


def _squared_difference(x: Tensor, y: Tensor) -> Tensor:
    # In one pass, without a tensor of differences; not F.mse_loss, whose check of shapes torch.jit.trace warns of.
    return torch.ops.aten.mse_loss(x, y, 0)


def without_autocast(tensor: Tensor) -> contextlib.AbstractContextManager:
    """A block in which operations on a tensor's device compute in the dtypes given, whatever autocast says."""
    return torch.autocast(tensor.device.type, enabled=False) if is_autocast(tensor) else contextlib.nullcontext()
