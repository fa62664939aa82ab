"""SqueezeNet 1.1 (Iandola et al. 2016).

The seven feature maps are the inputs of the three poolings and the outputs of the last four Fire modules.
"""

from torch import nn
from torchvision.models import SqueezeNet1_1_Weights
from torchvision.models.squeezenet import Fire

from lpips_repro.backbones.registry import register_backbone


def _initialise(layer: nn.Conv2d) -> None:
    nn.init.kaiming_uniform_(layer.weight)
    assert layer.bias is not None  # all of them have one
    nn.init.zeros_(layer.bias)


@register_backbone(
    "squeeze",
    taps=(1, 4, 7, 9, 10, 11, 12),
    channels=(64, 128, 256, 384, 384, 512, 512),
    min_size=17,
    imagenet=SqueezeNet1_1_Weights.IMAGENET1K_V1,
    features_file="squeezenet1_1_imagenet_features.pth",
    initialise=_initialise,
)
def squeezenet1_1() -> nn.Sequential:
    """The layers up to the last Fire module."""
    return nn.Sequential(
        nn.Conv2d(3, 64, kernel_size=3, stride=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True),
        Fire(64, 16, 64, 64),
        Fire(128, 16, 64, 64),
        nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True),
        Fire(128, 32, 128, 128),
        Fire(256, 32, 128, 128),
        nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True),
        Fire(256, 48, 192, 192),
        Fire(384, 48, 192, 192),
        Fire(384, 64, 256, 256),
        Fire(512, 64, 256, 256),
    )
