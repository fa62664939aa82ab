"""Stored patches as the images that networks take."""

import numpy as np
import torch
from torch import Tensor

from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.devices import send

PIXELS = 64**2  # of an image for which numbers of images at once are stated


def at_once(count: int, split: PackedSplit) -> int:
    """How many images of a split have about as many pixels as `count` images 64 x 64; at least one."""
    height, width = split.size
    return max(1, count * PIXELS // (height * width))


def to_images(patches: np.ndarray, device: torch.device) -> Tensor:
    """Stored patches, uint8 (N, H, W, 3), as float32 images (N, 3, H, W) in [-1, 1] on a device, channels last."""
    # Sent as bytes, a quarter of the floats; what is memory-mapped is copied out of the map.
    return as_images(send(np.require(patches, requirements="W"), device))


def as_images(patches: Tensor) -> Tensor:
    """The same of patches that are on the device."""
    return patches.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
