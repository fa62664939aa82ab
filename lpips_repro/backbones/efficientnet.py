"""EfficientNet-B0 (Tan and Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks").

The five feature maps are the last ones of each resolution, at strides 2, 4, 8, 16 and 32.
"""

from torch import nn
from torchvision.models import EfficientNet_B0_Weights, efficientnet_b0

from lpips_repro.backbones.registry import register_backbone


@register_backbone(
    "efficientnet_b0",
    taps=(1, 2, 3, 5, 7),
    channels=(16, 24, 40, 112, 320),
    min_size=1,
    imagenet=EfficientNet_B0_Weights.IMAGENET1K_V1,
    left_out=("classifier.", "features.8."),
)
def _efficientnet_b0() -> nn.Sequential:
    """The layers up to the last inverted residual."""
    return efficientnet_b0().features[:8]
