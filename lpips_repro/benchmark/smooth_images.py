"""Images for metrics without a network. This module imports torch only."""

import torch
import torch.nn.functional as F
from torch import Tensor

SIZE = 64  # width and height in pixels


def smooth_pair(count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return smooth images (count, 3, 64, 64) in [0, 1], and the same images with noise."""
    generator = torch.Generator().manual_seed(0)
    x = F.interpolate(torch.rand(count, 3, 8, 8, generator=generator), size=SIZE, mode="bicubic").clamp(0, 1)
    y = (x + 0.05 * torch.randn(x.shape, generator=generator)).clamp(0, 1)
    return x.to(device), y.to(device)
