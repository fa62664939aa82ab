"""The other implementations of LPIPS, given our weights; each imported when it is asked for."""

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
    """Without what peers print and warn of while they are made: that they use old names of torchvision's."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(None):
        warnings.simplefilter("ignore")
        yield


def released_lpips(metric: LPIPS) -> Distance:
    """The released package's."""
    import lpips

    # pnet_rand: nothing is downloaded, and the weights are ours a line later.
    with quiet():
        has_lin = metric.variant != "off_the_shelf"
        net = lpips.LPIPS(net=metric.backbone.name, version=metric.version, pnet_rand=True, lpips=has_lin)
    net.load_state_dict(metric.official_state_dict())
    return net.eval().to(metric.shift.device)


def with_torchmetrics(metric: LPIPS) -> Distance:
    """What torchmetrics' LearnedPerceptualImagePatchSimilarity calls, whose constructor would download weights."""
    from torchmetrics.functional.image.lpips import _NoTrainLpips

    with quiet():
        name: Any = metric.backbone.name
        net = _NoTrainLpips(pretrained=False, net=name, pnet_rand=True)
    state = {k: v for k, v in metric.official_state_dict().items() if not k.startswith("scaling_layer.")}
    if metric.backbone.name == "squeeze":  # its slices are counted from 0
        state = {re.sub(r"^net\.slice(\d)", lambda m: f"net.slices.{int(m[1]) - 1}", k): v for k, v in state.items()}
    net.load_state_dict(state)
    return net.to(metric.shift.device)


def vgg_of_piq(metric: LPIPS) -> Distance:
    """What piq.LPIPS is made of, whose constructor would download weights; images in [-1, 1] as of the others."""
    import piq

    # As torchvision has them: channels last is our own doing.
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
