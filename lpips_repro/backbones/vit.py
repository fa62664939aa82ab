"""ViT-B/16 (Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale").

The four feature maps are the tokens of the patches after blocks 3, 6, 9 and 12, arranged as the patches are (4 x 4 for
a 64 x 64 image), without the class token. The last map is taken before the final normalization. If an image side is not
a multiple of 16, the last rows or columns are in no patch.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import VisionTransformer, ViT_B_16_Weights, vit_b_16

from lpips_repro.backbones.registry import register_backbone

TAPPED = (3, 6, 9, 12)


class ViTMaps(nn.Module):
    """The layers of torchvision's network up to its last block, under their own names, for images of any size."""

    def __init__(self, network: VisionTransformer):
        super().__init__()
        self.conv_proj, self.class_token, self.encoder = network.conv_proj, network.class_token, network.encoder
        del self.encoder.ln  # after the last map

    def forward(self, x: Tensor) -> list[Tensor]:
        """The maps of images (N, 3, H, W)."""
        patches = self.conv_proj(x)
        grid = patches.shape[2:]
        tokens = torch.cat((self.class_token.expand(len(x), -1, -1), patches.flatten(2).transpose(1, 2)), dim=1)
        tokens = tokens + self.positions(grid)
        maps = []
        for number, block in enumerate(self.encoder.layers, 1):
            tokens = block(tokens)
            if number in TAPPED:
                maps.append(tokens[:, 1:].transpose(1, 2).unflatten(2, grid))
        return maps

    def positions(self, grid: torch.Size) -> Tensor:
        """The embeddings of the class and of each place, (1, 1 + places, C), interpolated from the learned 14 x 14."""
        learned = self.encoder.pos_embedding
        side = math.isqrt(int(learned.shape[1]) - 1)
        if grid == (side, side):
            return learned
        places = learned[:, 1:].transpose(1, 2).unflatten(2, (side, side)).float()
        places = F.interpolate(places, size=grid, mode="bicubic", antialias=True).to(learned.dtype)
        return torch.cat((learned[:, :1], places.flatten(2).transpose(1, 2)), dim=1)


@register_backbone(
    "vit_b_16",
    channels=(768,) * len(TAPPED),
    min_size=16,
    imagenet=ViT_B_16_Weights.IMAGENET1K_V1,
    left_out=("encoder.ln.", "heads."),
)
def _vit_b_16() -> ViTMaps:
    return ViTMaps(vit_b_16())
