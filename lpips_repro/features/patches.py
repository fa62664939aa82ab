"""Stored patches as the images that networks take."""

import numpy as np
import torch
from torch import Tensor

from lpips_repro.devices import send


def to_images(patches: np.ndarray, device: torch.device) -> Tensor:
    """Stored patches, uint8 (N, H, W, 3), as float32 images (N, 3, H, W) in [-1, 1] on a device, channels last."""
    # Sent as bytes, a quarter of the floats; what is memory-mapped is copied out of the map.
    return as_images(send(np.require(patches, requirements="W"), device))


def as_images(patches: Tensor) -> Tensor:
    """The same of patches that are on the device."""
    return patches.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
