"""Networks that give feature maps; importing the package registers them."""

from lpips_repro.backbones import alexnet, squeezenet, vgg16  # registers them
from lpips_repro.backbones.registry import BACKBONES, Backbone, gaussian_state, register_backbone, torchvision_state

__all__ = [
    "BACKBONES",
    "Backbone",
    "alexnet",
    "gaussian_state",
    "register_backbone",
    "squeezenet",
    "torchvision_state",
    "vgg16",
]
