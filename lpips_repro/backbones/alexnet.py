"""AlexNet as in torchvision (Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks").

The feature maps are the outputs of the five ReLUs: conv1 to conv5 of the paper.
"""

from torch import nn
from torchvision.models import AlexNet_Weights

from lpips_repro.backbones.registry import register_backbone


@register_backbone(
    "alex",
    taps=(1, 4, 7, 9, 11),
    channels=(64, 192, 384, 256, 256),
    min_size=31,
    imagenet=AlexNet_Weights.IMAGENET1K_V1,
    features_file="alexnet_imagenet_features.pth",
)
def alexnet() -> nn.Sequential:
    """The layers up to relu5."""
    return nn.Sequential(
        nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(kernel_size=3, stride=2),
        nn.Conv2d(64, 192, kernel_size=5, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(kernel_size=3, stride=2),
        nn.Conv2d(192, 384, kernel_size=3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(384, 256, kernel_size=3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(256, 256, kernel_size=3, padding=1),
        nn.ReLU(inplace=True),
    )
