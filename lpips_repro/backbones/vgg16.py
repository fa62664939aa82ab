"""VGG16 (Simonyan and Zisserman 2015), configuration D.

The feature maps are the outputs of relu1_2, relu2_2, relu3_3, relu4_3 and relu5_3.
"""

from torch import nn
from torchvision.models import VGG16_Weights

from lpips_repro.backbones.registry import register_backbone

STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


def _initialise(layer: nn.Conv2d) -> None:
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    assert layer.bias is not None  # all of them have one
    nn.init.zeros_(layer.bias)


@register_backbone(
    "vgg",
    taps=(3, 8, 15, 22, 29),
    channels=(64, 128, 256, 512, 512),
    min_size=16,
    imagenet=VGG16_Weights.IMAGENET1K_V1,
    features_file="vgg16_imagenet_features.pth",
    initialise=_initialise,
)
def vgg16() -> nn.Sequential:
    """The layers up to relu5_3."""
    layers: list[nn.Module] = []
    previous = 3
    for stage in STAGES:
        if layers:
            layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
        for channels in stage:
            layers += [nn.Conv2d(previous, channels, kernel_size=3, padding=1), nn.ReLU(inplace=True)]
            previous = channels
    return nn.Sequential(*layers)
