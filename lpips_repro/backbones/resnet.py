"""ResNet-18 and ResNet-50 (He, Zhang, Ren, Sun 2016, "Deep Residual Learning for Image Recognition").

The five feature maps are the outputs of the first ReLU and of the four stages, at strides 2, 4, 8, 16 and 32.
"""

from torchvision.models import ResNet18_Weights, ResNet50_Weights, resnet18, resnet50

from lpips_repro.backbones.registry import register_backbone
from lpips_repro.backbones.tapped import Tapped

AFTER = ("relu", "layer1", "layer2", "layer3", "layer4")
COMMON = {"min_size": 1, "left_out": ("fc.",)}


@register_backbone("resnet18", channels=(64, 64, 128, 256, 512), imagenet=ResNet18_Weights.IMAGENET1K_V1, **COMMON)
def _resnet18() -> Tapped:
    return Tapped(resnet18(), AFTER)


@register_backbone("resnet50", channels=(64, 256, 512, 1024, 2048), imagenet=ResNet50_Weights.IMAGENET1K_V1, **COMMON)
def _resnet50() -> Tapped:
    return Tapped(resnet50(), AFTER)
