"""Finding methods by name, without settings: `find_method("alex-lin-v0.1")`."""

import re
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf

from lpips_repro.config import EvaluateConfig, MetricConfig, parse
from lpips_repro.config.paths import CONFIGS
from lpips_repro.config.timm_nets import NAMED, timm_net
from lpips_repro.config.yaml_files import computed_metrics, in_configs
from lpips_repro.errors import UserError, expected
from lpips_repro.evaluation.methods.method import Method
from lpips_repro.evaluation.methods.metrics import metric_method
from lpips_repro.evaluation.methods.published import list_methods
from lpips_repro.metrics import METRICS
from lpips_repro.metrics.libraries import is_library_metric
from lpips_repro.modules import import_file
from lpips_repro.provenance import file_of

# A user's metric.
OWN_METRIC = re.compile(r"(.+\.py)(?::(.*))?")
# The endings after the name of a network.
ENDING = re.compile(r"(?:-(off_the_shelf|lin))?(?:-v(0\.[01]))?")


def find_method(name: str, *, download: bool = True) -> Method:
    """The method of a name, such as "ssim", "alex-off_the_shelf-v0.0", "piq/mdsi" or "mine.py:my_metric".

    The name of a network, such as "alex" or "timm/resnet50", means version 0.1, with lin weights if the authors
    published them.

    Args:
        name: a metric or network in `configs/`, timm/NAME, LIBRARY/METRIC, or FILE.py:FUNCTION of the user.
        download: whether to download weights that are not on this computer when the method is built.

    Raises:
        UserError: if the name does not exist. The message lists known names.
    """
    if name in in_configs("metric"):
        return list_methods(_settings(metric=in_configs("metric")[name][0], download=download))[0]
    if own := OWN_METRIC.fullmatch(name):
        return metric_method(name, _own_metric(name, own[1], own[2]))
    network = network_of(name)
    if network is None and is_library_metric(name):
        return metric_method(name, MetricConfig(function=name), download)
    if network is None:
        raise UserError(f"{name}: no such method: {expected(name, (*computed_metrics(), *in_configs('net')))}")
    methods = list_methods(_settings(net=network.settings, download=download))
    variant = network.variant or ("lin" if any(method.variant == "lin" for method in methods) else "off_the_shelf")
    found = next((one for one in methods if (one.variant, one.version) == (variant, network.version)), None)
    if found is None:
        raise UserError(f"{name}: no such method: {expected(name, dict.fromkeys(one.label for one in methods))}")
    return found


def is_outside(name: str) -> bool:
    """Whether a name is a metric outside this package: LIBRARY/METRIC or FILE.py:FUNCTION."""
    return network_of(name) is None and (is_library_metric(name) or OWN_METRIC.fullmatch(name) is not None)


class Network(NamedTuple):
    """A network that a name means: its key, its settings by that key, the variant (None: not named), and version."""

    key: str
    settings: dict[str, Any]
    variant: str | None
    version: str


def network_of(name: str) -> Network | None:
    """The network of a name; None if it is not a network."""
    known = {net: {net: settings} for net, (_, settings) in in_configs("net").items()}
    if of_timm := NAMED.match(name):
        known = {of_timm[0]: timm_net(of_timm[1])}
    for net in sorted(known, key=len, reverse=True):
        if name.startswith(net) and (match := ENDING.fullmatch(name.removeprefix(net))):
            return Network(next(iter(known[net])), known[net], match[1], match[2] or "0.1")
    return None


def _own_metric(name: str, file: str, function: str | None) -> MetricConfig:
    """The settings of a function that a file registers."""
    import_file(Path(file), "metric")
    functions = [key for key, one in METRICS.items() if file_of(one.function) == Path(file).absolute()]
    if not functions:
        raise UserError(f"{file}: registers no metric: put @lpips_repro.metrics.register_metric() before the function")
    if function not in functions:
        raise UserError(f"{name}: {expected(name, [f'{file}:{key}' for key in functions])}")
    return MetricConfig(function=function, module=file)


def _settings(*, metric: str | None = None, net: dict[str, Any] | None = None, download: bool) -> EvaluateConfig:
    """The settings of tables with the rows of one metric of a file, or of one network with its settings.

    They are not composed by Hydra, which the calling program may use.
    """
    whole: Any = OmegaConf.load(CONFIGS / "evaluate.yaml")
    for key in ("defaults", "hydra"):
        del whole[key]
    chosen: dict[str, list[str | None]] = {
        "data": ["mini"],
        "variant": ["off_the_shelf", "lin"],
        "metric": [metric],
    }
    for group, files in chosen.items():
        parts = [OmegaConf.load(CONFIGS / group / f"{file}.yaml") for file in files if file]
        if parts:
            whole[group] = OmegaConf.merge(*parts)
    if net:
        whole.net = net
    whole.download, whole.trained_on = download, None
    return parse(whole, EvaluateConfig)
