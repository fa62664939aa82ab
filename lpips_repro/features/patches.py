"""Conversion of stored patches to images for networks."""

import numpy as np
import torch
from torch import Tensor

from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.devices import send

PIXELS = 64**2  # of the images that batch sizes are stated for


def at_once(count: int, split: PackedSplit) -> int:
    """The number of images of a split with about as many pixels as `count` images of 64 x 64; at least one."""
    height, width = split.size
    return max(1, count * PIXELS // (height * width))


def to_images(patches: np.ndarray, device: torch.device) -> Tensor:
    """Stored patches, uint8 (N, H, W, 3), as float32 images (N, 3, H, W) in [-1, 1] on a device, channels last."""
    # Sent as bytes, a quarter of the size of floats. Memory-mapped patches are copied.
    return as_images(send(np.require(patches, requirements="W"), device))


def as_images(patches: Tensor) -> Tensor:
    """As `to_images`, for patches that are on the device."""
    return patches.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
