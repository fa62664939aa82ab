"""The number of floating-point operations of a network."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from lpips_repro.backbones import Backbone
from lpips_repro.datasets.folder import PATCH_SIZE


def backbone_flops(net: str, *, backward: bool) -> int:
    """Return the operations of the forward pass of a 64 x 64 image, and of the backward pass if `backward`.

    A multiplication with an addition counts as two.
    """
    with torch.device("meta"):  # shapes only: nothing is computed
        backbone, image = Backbone(net), torch.empty(1, 3, PATCH_SIZE, PATCH_SIZE)
    with FlopCounterMode(display=False) as counter:
        maps = backbone(image)
        if backward:
            torch.autograd.backward(maps, [torch.empty_like(feature_map) for feature_map in maps])
    return counter.get_total_flops()
