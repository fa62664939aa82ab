"""The distances between all pairs of images, with one pass of the backbone per image.

Equation 1 is a squared Euclidean distance between the unit-normalized maps `a_l` and `b_l` of two images:

    d(a, b) = sum_l  1 / (H_l W_l)  sum_hwc  head_lc (a_lhwc - b_lhwc)^2

so that products of maps give it. They are summed in float64, in which `|a|^2 + |b|^2 - 2 ab` keeps the precision of
float32 maps.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from lpips_repro.metrics.lpips.channels import unit_normalize
from lpips_repro.metrics.lpips.core import Core
from lpips_repro.precision import full_float32

CHUNK = 1 << 16  # numbers per image that are converted to float64 at a time
ROUNDING = 1e-12  # smaller distances become 0, as for equal images


def maps_of_image(core: Core, image: Tensor, normalize: bool = False) -> list[Tensor]:
    """The unit-normalized maps of an image, float32 (places, C) per layer.

    Args:
        core: the core of the metric; image: (1, 3, H, W) in [-1, 1], or in [0, 1] with `normalize`.
    """
    image = core.checked({"the": image}, normalize)["the"]  # messages begin with "the image"
    with full_float32():
        maps = core.backbone.each_map(core.preprocess((image,), normalize))
        return [unit_normalize(one)[0].permute(1, 2, 0).flatten(0, 1) for one in maps]


def all_pairs(refs: Sequence[Sequence[Tensor]], others: Sequence[Sequence[Tensor]], head: Tensor) -> Tensor:
    """The distances of N reference images from M others, float64 (N, M).

    Args:
        refs, others: the result of `maps_of_image` for each image; all images have one size.
        head: the weights of all layers' channels, (C,).
    """
    first = refs[0]
    total = first[0].new_zeros(len(refs), len(others), dtype=torch.float64)
    for layer, weights in enumerate(head.double().split([maps.shape[1] for maps in first])):
        places, channels = first[layer].shape
        for start in range(0, places, step := max(1, CHUNK // channels)):
            x, y = (
                torch.stack([maps[layer][start : start + step] for maps in images]).double()
                for images in (refs, others)
            )
            x_weighted, x, y_weighted, y = ((part).flatten(1) for part in (x * weights, x, y * weights, y))
            squares = (x_weighted * x).sum(dim=1)[:, None] + (y_weighted * y).sum(dim=1)
            total += (squares - 2 * x_weighted @ y.T) / places
    return torch.where(total < ROUNDING, 0.0, total)
