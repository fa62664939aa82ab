"""Every network and every classic metric gives the values of the CPU, under PyTorch's own settings of TF32.

The networks have random weights. Their distances are in float32, whose rounding moves them by 2e-7 of the largest one;
TF32 would move them by more than 1e-4.
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
TIMM = ("timm/test_vit", "timm/test_resnet")  # the smallest that timm has
# Other settings of classic metrics than their own defaults.
SETTINGS: dict[str, tuple[dict[str, str | bool], ...]] = {
    "l2": ({"colorspace": "lab"},),
    "ssim": ({"colorspace": "lab"}, {"window": "gaussian"}, {"truncate": True}),
}
PAIRS = 8


def checks() -> list[Check]:
    """One for each network, and for each classic metric in each setting."""
    found = [Check("parity", net, functools.partial(network, net)) for net in dict.fromkeys((*BACKBONES, *TIMM))]
    for name in METRICS:
        for settings in ({}, *SETTINGS.get(name, ())):
            label = " ".join([name, *(f"{key}={value}" for key, value in settings.items())])
            found.append(Check("parity", label, functools.partial(classic, name, settings)))
    return found


def network(net: str, device: torch.device) -> str:
    """Distances of images by a network and lin weights that are both random."""
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
    """Values of a metric without a network."""
    x, y = smooth_pair(PAIRS, torch.device("cpu"))
    metric = functools.partial(METRICS[name].function, **settings)
    return agreement(metric(x, y), metric(x.to(device), y.to(device)))


def agreement(on_cpu: Tensor, on_device: Tensor) -> str:
    """How far values on a device are from those on the CPU; an AssertionError if that is too far."""
    off = float((on_device.cpu() - on_cpu).abs().max() / on_cpu.abs().max())
    if not off <= TOLERANCE:
        raise AssertionError(f"off by {off:.1e} of the largest value: at most {TOLERANCE:.0e} is allowed")
    return f"off by {off:.1e} of the largest value"
