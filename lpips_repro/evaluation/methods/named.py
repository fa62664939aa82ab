"""Methods by the labels of their rows, for those who have no settings: `find_method("alex-lin-v0.1")`."""

import re
from functools import cache
from typing import Any

from omegaconf import OmegaConf

from lpips_repro.config import EvaluateConfig, parse
from lpips_repro.config.paths import CONFIGS
from lpips_repro.errors import UserError, expected
from lpips_repro.evaluation.methods.method import Method
from lpips_repro.evaluation.methods.published import list_methods

# What may follow the name of a network.
ENDING = re.compile(r"(?:-(off_the_shelf|lin))?(?:-v(0\.[01]))?")


def find_method(label: str, *, download: bool = True) -> Method:
    """The method of a row, as in "ssim" or "alex-off_the_shelf-v0.0".

    A network alone stands for its version 0.1, calibrated if the authors published weights for that.

    Args:
        label: of a metric or network in `configs/`; download: whether weights that are not on this computer may be
            downloaded when it is built.

    Raises:
        UserError: for a label that does not exist, with those that do.
    """
    for group in ("metric", "net"):
        for name in sorted(_names(group), key=len, reverse=True):
            if label == name and group == "metric":
                return list_methods(_settings(metric=_names(group)[name]))[0]
            ending = ENDING.fullmatch(label.removeprefix(name)) if label.startswith(name) else None
            if group == "net" and ending:
                methods = list_methods(_settings(net=_names(group)[name], download=download))
                return _chosen(label, methods, ending[1], ending[2] or "0.1")
    raise UserError(f"{label}: no such method: {expected(label, [*_names('metric'), *_names('net')])}")


def _chosen(label: str, methods: list[Method], variant: str | None, version: str) -> Method:
    """The method of a network in a variant and version."""
    variant = variant or ("lin" if any(method.variant == "lin" for method in methods) else "off_the_shelf")
    found = next((one for one in methods if (one.variant, one.version) == (variant, version)), None)
    if found is None:
        raise UserError(f"{label}: no such method: {expected(label, dict.fromkeys(one.label for one in methods))}")
    return found


@cache
def _names(group: str) -> dict[str, str]:
    """The names of metrics or networks, with the file in `configs/` of each: {"l2-rgb": "l2_rgb", ...}."""
    files = sorted((CONFIGS / group).glob("*.yaml"))
    return {str(name): file.stem for file in files for name in OmegaConf.load(file)}


def _settings(*, metric: str | None = None, net: str | None = None, download: bool = True) -> EvaluateConfig:
    """The settings of tables with the rows of one metric or network, given their files.

    Not composed by Hydra, which may be in use by the program that asks.
    """
    whole: Any = OmegaConf.load(CONFIGS / "evaluate.yaml")
    for key in ("defaults", "hydra"):
        del whole[key]
    chosen: dict[str, list[str | None]] = {
        "data": ["mini"],
        "variant": ["off_the_shelf", "lin"],
        "metric": [metric],
        "net": [net],
    }
    for group, files in chosen.items():
        parts = [OmegaConf.load(CONFIGS / group / f"{file}.yaml") for file in files if file]
        if parts:
            whole[group] = OmegaConf.merge(*parts)
    whole.download, whole.trained_on = download, None
    return parse(whole, EvaluateConfig)
