"""Squared differences of a layer's feature maps, their means per channel, and maps of distances."""

import contextlib

import torch
import torch.nn.functional as F
from torch import Tensor

from lpips_repro.metrics.inputs import at_least_float32, is_autocast

# Added to the norm of a feature vector, as in the released code.
NORM_EPSILON = 1e-10


def unit_normalize(feature_map: Tensor, *, overwrite: bool = False) -> Tensor:
    """A feature map (N, C, H, W) in which the channels of each place form a vector of length 1, at least float32.

    With `overwrite`, the result can be in the memory of the feature map.
    """
    # vector_norm rather than sqrt(sum(f^2)): its gradient at zero is zero, not NaN.
    feature_map = at_least_float32(feature_map)
    norm: Tensor = torch.linalg.vector_norm(feature_map, dim=1, keepdim=True)
    if overwrite:
        return feature_map.mul_(norm.add_(NORM_EPSILON).reciprocal_())
    return feature_map * (norm + NORM_EPSILON).reciprocal()  # one division per place, not one per channel


def squared_differences(feature_map: Tensor, batches: int, *, overwrite: bool = False) -> Tensor:
    """Squared differences between the first batch and each other one, (batches - 1, N, places, C), at least float32.

    Args:
        feature_map: the maps of all batches, one after the other, (batches x N, C, H', W'), before normalization.
        batches: the number of batches.
        overwrite: whether the feature map may be overwritten, which needs less memory and time.
    """
    # Channels last, as they are in memory.
    channels, height, width = feature_map.shape[1:]
    vectors = unit_normalize(feature_map, overwrite=overwrite).permute(0, 2, 3, 1)
    vectors = vectors.reshape(batches, -1, height * width, channels)
    ref, others = vectors[:1], vectors[1:]
    # In place, in memory that is in the cache. With a gradient a new tensor is faster than a view.
    differences = others - ref if others.requires_grad else others.sub_(ref)
    squared: Tensor = differences.pow_(2)  # functionalize accepts it, unlike square_
    return squared


def mean_over_places(values: Tensor, weights: Tensor | None = None) -> Tensor:
    """The mean of values (..., N, places, C) over places, (..., N, C).

    With weights (N, places), the weighted mean of values (N, places, C).
    """
    if weights is None:
        return values.mean(dim=-2)
    return (weights[:, None] @ values).squeeze(1) / weights.sum(dim=1, keepdim=True)


def channel_means(feature_map: Tensor, batches: int, mask: Tensor | None = None, *, overwrite: bool = False) -> Tensor:
    """The mean over places of the squared differences of a layer, (batches - 1, N, C).

    Args:
        feature_map, batches, overwrite: as for `squared_differences`.
        mask: weights of pixels (N, 1, H, W). The weight of a place of the map is the mean over its part of the image.
    """
    with without_autocast(feature_map):
        squared = squared_differences(feature_map, batches, overwrite=overwrite)
        if mask is None:
            return mean_over_places(squared)
        mask = mask.to(torch.promote_types(feature_map.dtype, torch.float32))
        weights = F.interpolate(mask, size=feature_map.shape[2:], mode="area").flatten(1)
        return torch.stack([mean_over_places(values, weights) for values in squared])


def weighted_sum(means: Tensor, head: Tensor) -> Tensor:
    """Distances (...,): the product of means (..., C) and a head (C,), in full precision even if TF32 is on."""
    return (means * head).sum(dim=-1)


def place_distances(feature_map: Tensor, batches: int, head: Tensor, size: torch.Size) -> Tensor:
    """The contribution of a layer to the distance at each place, resized to the size (H, W) of the images.

    Args:
        feature_map, batches: as for `squared_differences`.
        head: the weights of the layer's channels (C,).

    Returns:
        (batches - 1, N, 1, H, W), at least float32.
    """
    with without_autocast(feature_map):
        each = [values @ head.to(values.dtype) for values in squared_differences(feature_map, batches)]
        maps: Tensor = torch.cat(each).unflatten(1, feature_map.shape[2:])[:, None]
        maps = F.interpolate(maps, size=size, mode="bilinear", align_corners=False)
        maps = maps.unflatten(0, (batches - 1, -1))
        return maps


def without_autocast(tensor: Tensor) -> contextlib.AbstractContextManager[object]:
    """A context that switches autocast off for a tensor's device."""
    return torch.autocast(tensor.device.type, enabled=False) if is_autocast(tensor) else contextlib.nullcontext()
