"""Swin-T (Liu, Lin, Cao, Hu, Wei, Zhang, Lin, Guo 2021, "Swin Transformer: Hierarchical Vision Transformer using
Shifted Windows").

The four feature maps are the outputs of the stages, at strides 4, 8, 16 and 32, the last before its normalization.
"""

from torchvision.models import Swin_T_Weights, swin_t

from lpips_repro.backbones.registry import register_backbone
from lpips_repro.backbones.tapped import Tapped


@register_backbone(
    "swin_t",
    channels=(96, 192, 384, 768),
    min_size=4,
    imagenet=Swin_T_Weights.IMAGENET1K_V1,
    left_out=("norm.", "head."),
)
def _swin_t() -> Tapped:
    """The patches, then stages alternating with patch merging."""
    return Tapped(swin_t().features, ("1", "3", "5", "7"), channels_last=True)
