"""Which autoencoders are of no use as distortions: their output tells nothing of the image, or nothing of them."""

import torch
from torch import Tensor

FLAT = 2 / 255  # standard deviation, in units of the range, below which nothing is seen
SAME = 0.5 / 255  # mean absolute difference below which two images have the same 8-bit values, but for a few


def fault_of(made: Tensor, given: Tensor, images: Tensor) -> str | None:
    """Why an autoencoder is left out, or None if it is of use.

    Args:
        made: what it makes of `given`, the corrupted `images`; (N, 3, H, W) each, in [0, 1] if they are finite.
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
