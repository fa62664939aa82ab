"""Implementations of LPIPS in other packages, with our weights. A package is imported when its function is called."""

import contextlib
import copy
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from lpips_repro.metrics.lpips import LPIPS
from lpips_repro.metrics.lpips.core import SCALE, SHIFT

Distance = Callable[[Tensor, Tensor], Tensor]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress the output and the warnings of other packages (about old names of torchvision) while they are set up."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(None):
        warnings.simplefilter("ignore")
        yield


def released_lpips(metric: LPIPS) -> Distance:
    """Return the module of the released package, with the weights of a metric."""
    import lpips

    # pnet_rand: nothing is downloaded. The weights are replaced below.
    with quiet():
        has_lin = metric.variant != "off_the_shelf"
        net = lpips.LPIPS(net=metric.backbone.name, version=metric.version, pnet_rand=True, lpips=has_lin)
    net.load_state_dict(metric.official_state_dict())
    return net.eval().to(metric.shift.device)


def with_torchmetrics(metric: LPIPS) -> Distance:
    """Return the module that torchmetrics' LearnedPerceptualImagePatchSimilarity calls, with the weights of a metric.

    The constructor of LearnedPerceptualImagePatchSimilarity itself would download weights.
    """
    from torchmetrics.functional.image.lpips import _NoTrainLpips

    with quiet():
        name: Any = metric.backbone.name
        net = _NoTrainLpips(pretrained=False, net=name, pnet_rand=True)
    state = {k: v for k, v in metric.official_state_dict().items() if not k.startswith("scaling_layer.")}
    if metric.backbone.name == "squeeze":  # torchmetrics counts its slices from 0
        state = {re.sub(r"^net\.slice(\d)", lambda m: f"net.slices.{int(m[1]) - 1}", k): v for k, v in state.items()}
    net.load_state_dict(state)
    return net.to(metric.shift.device)


def vgg_of_piq(metric: LPIPS) -> Distance:
    """Return the base of piq.LPIPS with the weights of a metric, for images in [-1, 1].

    The constructor of piq.LPIPS itself would download weights.
    """
    import piq

    # The memory format of torchvision: channels last is a choice of this project.
    layers = copy.deepcopy(metric.backbone.features).to(memory_format=torch.contiguous_format)
    return piq.ContentLoss(
        layers,
        layers=[str(tap) for tap in metric.backbone.spec.taps],
        weights=[weight.detach().view(1, -1, 1, 1) for weight in metric.lin],
        reduction="none",
        mean=list(SHIFT),
        std=list(SCALE),
        normalize_features=True,
    )
