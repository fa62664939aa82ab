"""Decide whether an autoencoder is useful: its output must depend on the image and must differ from it."""

import torch
from torch import Tensor

FLAT = 2 / 255  # standard deviation, in units of the range, below which an image counts as flat
SAME = 0.5 / 255  # mean absolute difference below which almost all 8-bit values of two images are equal


def fault_of(made: Tensor, given: Tensor, images: Tensor) -> str | None:
    """The reason why an autoencoder is left out, or None if it is useful.

    Args:
        made: its output (N, 3, H, W); given: its input, the corrupted images; images: the images in [0, 1].
    """
    if not made.isfinite().all():
        return "its output is not finite"
    if made.std(dim=(2, 3)).max() < FLAT:
        return "its output is constant"
    if len(made) > 1 and made.std(dim=0).mean() < FLAT:
        return "its output is the same for every image"
    if torch.stack([(made - other).abs().mean() for other in (given, images)]).min() < SAME:
        return "its output equals its input"
    return None
