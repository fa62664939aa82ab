"""A batch of triplets, as images or as stored features: what a collection of triplets gives and a model takes."""

from typing import NamedTuple

from torch import Tensor


class ImageBatch(NamedTuple):
    """Images (N, 3, H, W) in [-1, 1]."""

    ref: Tensor
    p0: Tensor
    p1: Tensor


class FeatureBatch(NamedTuple):
    """Stored features (N, 2, sum of channels), for p0 and p1: see `lpips_repro.features.stored`.

    Attributes:
        mean: each channel's mean squared difference.
        noise: the standard deviation that dropout gives it; None if it is not stored: no dropout can be drawn then.
    """

    mean: Tensor
    noise: Tensor | None = None


Batch = ImageBatch | FeatureBatch
