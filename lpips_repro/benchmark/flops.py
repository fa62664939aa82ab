"""How many floating-point operations a network takes."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from lpips_repro.backbones import Backbone
from lpips_repro.datasets.folder import PATCH_SIZE


def backbone_flops(net: str, *, backward: bool) -> int:
    """Of an image 64 x 64 through the backbone, and back, with multiplication and addition counted as two."""
    with torch.device("meta"):  # shapes alone: nothing is computed
        backbone, image = Backbone(net), torch.empty(1, 3, PATCH_SIZE, PATCH_SIZE)
    with FlopCounterMode(display=False) as counter:
        maps = backbone(image)
        if backward:
            torch.autograd.backward(maps, [torch.empty_like(feature_map) for feature_map in maps])
    return counter.get_total_flops()
