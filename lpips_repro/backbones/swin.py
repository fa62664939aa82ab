"""Swin-T (Liu, Lin, Cao, Hu, Wei, Zhang, Lin, Guo 2021, "Swin Transformer: Hierarchical Vision Transformer using
Shifted Windows").

The four feature maps are those after each stage, at strides 4, 8, 16 and 32, the last before its normalisation.
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
    """Patches and then, in turn, a stage and the merging before the next."""
    return Tapped(swin_t().features, ("1", "3", "5", "7"), channels_last=True)
