"""Metrics of other libraries that are networks, with their published weights."""

from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import torch
from torch import nn

from lpips_repro.backbones import Backbone
from lpips_repro.weights.imagenet import imagenet_state


def shift_tolerant_lpips(net: str, download: bool) -> nn.Module:
    """ST-LPIPS (Ghildyal and Liu, ECCV 2022), `net` alex or vgg, for images in [-1, 1]. Its package has the weights."""
    from stlpips_pytorch.stlpips import LPIPS

    network: nn.Module = LPIPS(net=net, variant="shift_tolerant", verbose=False)
    return network


def dists(download: bool) -> nn.Module:
    """DISTS (Ding et al., TPAMI 2020), for images in [0, 1]. Its package has the weights of the channels.

    The weights of VGG16 are torchvision's, as for the network `vgg`. If they are missing, it raises UserError.
    """
    from DISTS_pytorch import DISTS_pt

    vgg = Backbone("vgg", imagenet_state("vgg", download=download))
    # The constructor would download VGG16 through torchvision, and look for its own weights in sys.prefix.
    with mock.patch.object(DISTS_pt, "models", SimpleNamespace(vgg16=lambda pretrained: vgg)):
        network: nn.Module = DISTS_pt.DISTS(load_weights=False)
    weights = torch.load(Path(DISTS_pt.__file__).with_name("weights.pt"), map_location="cpu", weights_only=True)
    network.load_state_dict({key: weights[key] for key in ("alpha", "beta")}, strict=False)
    return network
