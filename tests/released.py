"""The released package's metric, into which a test loads weights."""

import functools

import lpips
import torch


@functools.cache
def empty_released_metric(net: str, version: str = "0.1", lin: bool = True) -> lpips.LPIPS:
    """A metric whose weights are still to be loaded: torchvision draws those of a whole network, for seconds."""
    with torch.device("meta"):
        metric = lpips.LPIPS(net=net, version=version, lpips=lin, pnet_rand=True, pretrained=False, verbose=False)
    return metric.to_empty(device="cpu").eval()
