"""Networks that return feature maps. Importing the package registers the networks of all its files."""

import importlib
import pkgutil

from lpips_repro.backbones.registry import (
    BACKBONES,
    Backbone,
    check_backbone,
    gaussian_state,
    map_shapes,
    register_backbone,
    torchvision_state,
)
from lpips_repro.backbones.tapped import Tapped

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_module.name)

__all__ = [
    "BACKBONES",
    "Backbone",
    "Tapped",
    "check_backbone",
    "gaussian_state",
    "map_shapes",
    "register_backbone",
    "torchvision_state",
]
