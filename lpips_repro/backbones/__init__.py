"""Networks that give feature maps; importing the package registers them."""

from lpips_repro.backbones import alexnet, caffenet, squeezenet, vgg16  # registers them
from lpips_repro.backbones.registry import (
    BACKBONES,
    Backbone,
    gaussian_state,
    map_shapes,
    register_backbone,
    torchvision_state,
)

__all__ = [
    "BACKBONES",
    "Backbone",
    "alexnet",
    "caffenet",
    "gaussian_state",
    "map_shapes",
    "register_backbone",
    "squeezenet",
    "torchvision_state",
    "vgg16",
]
