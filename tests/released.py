"""The metric of the released package, without weights."""

import functools

import lpips
import torch


@functools.cache
def empty_released_metric(net: str, version: str = "0.1", lin: bool = True) -> lpips.LPIPS:
    """A metric for tests that load its weights. Random weights of torchvision would take seconds."""
    with torch.device("meta"):
        metric = lpips.LPIPS(net=net, version=version, lpips=lin, pnet_rand=True, pretrained=False, verbose=False)
    return metric.to_empty(device="cpu").eval()
