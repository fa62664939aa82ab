"""A batch of triplets, as images or as stored features."""

from typing import NamedTuple

from torch import Tensor


class ImageBatch(NamedTuple):
    """Images (N, 3, H, W) in [-1, 1]."""

    ref: Tensor
    p0: Tensor
    p1: Tensor


class FeatureBatch(NamedTuple):
    """Stored features (N, 2, sum of channels) of p0 and p1: see `lpips_repro.features.stored`.

    Attributes:
        mean: each channel's mean squared difference.
        noise: its standard deviation under dropout; None if it is not stored, and dropout cannot be drawn.
    """

    mean: Tensor
    noise: Tensor | None = None


Batch = ImageBatch | FeatureBatch
