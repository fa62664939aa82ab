"""ConvNeXt-Tiny (Liu, Mao, Wu, Feichtenhofer, Darrell, Xie 2022, "A ConvNet for the 2020s").

The four feature maps are the outputs of the stages, at strides 4, 8, 16 and 32.
"""

from torch import nn
from torchvision.models import ConvNeXt_Tiny_Weights, convnext_tiny

from lpips_repro.backbones.registry import register_backbone


@register_backbone(
    "convnext_tiny",
    taps=(1, 3, 5, 7),
    channels=(96, 192, 384, 768),
    min_size=32,
    imagenet=ConvNeXt_Tiny_Weights.IMAGENET1K_V1,
)
def _convnext_tiny() -> nn.Sequential:
    """The layers up to the last stage."""
    return convnext_tiny().features
