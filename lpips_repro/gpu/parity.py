"""Checks that all networks and classic metrics give the CPU's values on a GPU, under PyTorch's own settings of TF32.

The networks have random weights. Rounding in float32 changes their distances by 2e-7 of the largest one; TF32 would
change them by more than 1e-4.
"""

import functools

import torch
from torch import Tensor

from lpips_repro.backbones import BACKBONES, check_backbone, gaussian_state
from lpips_repro.backbones.registry import NotInstalledError
from lpips_repro.benchmark.smooth_images import smooth_pair
from lpips_repro.gpu.runner import Check, NotRun
from lpips_repro.metrics import METRICS
from lpips_repro.metrics.lpips import LPIPS
from lpips_repro.metrics.lpips.released import lin_key

TOLERANCE = 1e-5  # of the largest value
TIMM = ("timm/test_vit", "timm/test_resnet")  # the smallest networks of timm
# Settings of classic metrics that are checked in addition to the defaults.
SETTINGS: dict[str, tuple[dict[str, str | bool], ...]] = {
    "l2": ({"colorspace": "lab"},),
    "ssim": ({"colorspace": "lab"}, {"window": "gaussian"}, {"truncate": True}),
}
PAIRS = 8


def checks() -> list[Check]:
    """One check per network, and per classic metric and setting."""
    found = [Check("parity", net, functools.partial(network, net)) for net in dict.fromkeys((*BACKBONES, *TIMM))]
    for name in METRICS:
        for settings in ({}, *SETTINGS.get(name, ())):
            label = " ".join([name, *(f"{key}={value}" for key, value in settings.items())])
            found.append(Check("parity", label, functools.partial(classic, name, settings)))
    return found


def network(net: str, device: torch.device) -> str:
    """Check distances of a random network with random lin weights."""
    try:
        check_backbone(net)
    except NotInstalledError as error:
        raise NotRun(str(error)) from error
    side = max(64, BACKBONES[net].min_size)
    generator = torch.Generator().manual_seed(0)
    channels = enumerate(BACKBONES[net].channels)
    lin = {lin_key(layer): torch.rand(1, count, 1, 1, generator=generator) for layer, count in channels}
    metric = LPIPS(net, weights=gaussian_state(net, 0), lin_weights=lin)
    x, y = torch.rand(2, PAIRS, 3, side, side, generator=generator) * 2 - 1
    on_cpu = metric(x, y)
    return agreement(on_cpu, metric.to(device)(x.to(device), y.to(device)))


def classic(name: str, settings: dict[str, str | bool], device: torch.device) -> str:
    """Check values of a classic metric."""
    x, y = smooth_pair(PAIRS, torch.device("cpu"))
    metric = functools.partial(METRICS[name].function, **settings)
    return agreement(metric(x, y), metric(x.to(device), y.to(device)))


def agreement(on_cpu: Tensor, on_device: Tensor) -> str:
    """The difference of values on a device and on the CPU, as text; AssertionError if it is too large."""
    off = float((on_device.cpu() - on_cpu).abs().max() / on_cpu.abs().max())
    if not off <= TOLERANCE:
        raise AssertionError(f"off by {off:.1e} of the largest value: at most {TOLERANCE:.0e} is allowed")
    return f"off by {off:.1e} of the largest value"
