"""Downloading and checking all weights that the tables use (`make weights`)."""

import functools
import logging
from collections.abc import Callable

from omegaconf import DictConfig

from lpips_repro.backbones import BACKBONES, Backbone, check_backbone
from lpips_repro.config import Init, WeightsConfig, parse
from lpips_repro.errors import UserError
from lpips_repro.weights.imagenet import check_imagenet, find_imagenet_file, imagenet_state
from lpips_repro.weights.official_lin import SHA256, find_lin_file, official_lin_state
from lpips_repro.weights.state_dicts import read_state

log = logging.getLogger(__name__)


def fetch_weights(composed: DictConfig) -> None:
    """Download the missing weights of the networks in `configs/weights.yaml`, check all weights, and log their files.

    Raises:
        UserError: if some cannot be downloaded, with their names, after all others were.
    """
    cfg = parse(composed, WeightsConfig)
    failures = []
    for name, net in cfg.net.items():
        if net.init is Init.imagenet:
            check_backbone(net.backbone, f"net.{name}.backbone", net.module)
        else:
            where = f": {net.weights}: {net.remedy}" if net.weights and net.remedy else ""
            log.info("%s: nothing to fetch (init=%s)%s", name, net.init.value, where)
    for backbone in dict.fromkeys(net.backbone for net in cfg.net.values() if net.init is Init.imagenet):
        jobs: list[tuple[str, Callable[[], str]]] = [(f"{backbone} ImageNet", functools.partial(_imagenet, backbone))]
        jobs += [(f"{n} lin v{v}", functools.partial(_lin, n, v)) for n, v in SHA256 if n == backbone]
        for what, fetch in jobs:
            try:
                log.info("%s: %s", what, fetch())
            except UserError as error:
                log.error("%s: %s", what, error)
                failures.append(what)
    if failures:
        raise UserError(f"not fetched: {', '.join(failures)}: see the reasons above")


def _imagenet(backbone: str) -> str:
    Backbone(backbone, imagenet_state(backbone))
    if BACKBONES[backbone].fetch is not None:
        return "in the cache of the package that provides them"
    file = find_imagenet_file(backbone)
    assert file is not None  # the state was read from it
    check_imagenet(backbone, file, read_state(file))  # also a file that was downloaded just now
    return f"{file}, checked"


def _lin(net: str, version: str) -> str:
    official_lin_state(net, version)
    return f"{find_lin_file(net, version)}, checked"
