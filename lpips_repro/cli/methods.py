"""The methods of the command by name: the metrics and networks of `configs/`, and weights of a training run."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir

from lpips_repro.cli.names import in_configs
from lpips_repro.config import EvaluateConfig, MetricConfig, parse
from lpips_repro.config.paths import CONFIGS
from lpips_repro.errors import UserError, expected
from lpips_repro.evaluation.distances.compute import Distance, Engine
from lpips_repro.evaluation.methods.method import Method
from lpips_repro.evaluation.methods.published import list_methods, lpips_distance
from lpips_repro.metrics import METRICS
from lpips_repro.metrics.lpips import LPIPS
from lpips_repro.modules import import_file
from lpips_repro.provenance import file_of
from lpips_repro.versions import OWN, package_version
from lpips_repro.weights.state_dicts import read_state

OWN_METRIC = re.compile(r"(.+\.py)(?::(.*))?")
# What may follow the name of a network, as in alex-lin-v0.1.
ENDING = re.compile(r"(?:-(off_the_shelf|lin))?(?:-v(0\.[01]))?")


@dataclass(frozen=True)
class ReadyMethod:
    """A method ready to run on an engine: its label as in the tables, and what its values depend on."""

    label: str
    distance: Distance
    settings: dict[str, Any]


def find_methods(names: Sequence[str], weights: Path | None = None, download: bool = True) -> list[Method]:
    """The methods of some names, such as `ssim`, `alex` or `alex-off_the_shelf-v0.0`, in their order.

    A network alone stands for its version 0.1, calibrated if the authors published weights for that.

    Args:
        names: of the methods; twice the same is one.
        weights: those that a network has instead of the published ones: `weights.pth` of a training run, or lin weights
            alone.
        download: whether weights that are not on this computer may be downloaded.

    Raises:
        UserError: for a name that does not exist, with those that do.
    """
    known = [name for name in names if name in in_configs("metric")]
    other = {name: metric for name in names if (metric := _other_metric(name))}
    networks = {name: _network_of(name) for name in names if name not in (*known, *other)}
    if weights is not None and (known or other):
        raise UserError(f"--weights {weights}: {[*known, *other][0]} has no weights: name one network with -m")
    settings = _settings(known, [net for net, _, _ in networks.values()], download)
    settings.metric |= other
    if weights is not None:
        found = [_with_weights(settings, *network, weights) for network in networks.values()]
    else:
        published = list_methods(settings)
        found = [_published(published, name, networks.get(name)) for name in names]
    return list({method.label: method for method in found}.values())


def prepare(methods: Sequence[Method], engine: Engine) -> list[ReadyMethod]:
    """Load what the methods need; UserError if it is missing, such as weights."""
    ready = []
    for method in methods:
        try:
            distance = method.build(engine)
        except UserError as error:
            raise UserError(f"{method.label}: {error}") from error
        if not isinstance(distance, Distance):
            raise UserError(f"{method.label}: distances of another program: choose a method that runs here")
        ready.append(ReadyMethod(method.label, distance, settings_of(distance)))
    return ready


def settings_of(distance: Distance) -> dict[str, Any]:
    """What the values of a method depend on, besides the images: this program's version, and all of its identity."""
    return {OWN: package_version(OWN), "pillow": package_version("pillow"), **distance.identity}


def _other_metric(name: str) -> MetricConfig | None:
    """The settings of a metric that `configs/` does not have: LIBRARY/METRIC, or FILE.py:FUNCTION of the user's own."""
    if own := OWN_METRIC.fullmatch(name):
        file, function = own[1], own[2]
        import_file(Path(file), "metric")
        functions = [key for key, one in METRICS.items() if file_of(one.function) == Path(file).absolute()]
        if function not in functions:
            raise UserError(f"{name}: {expected(name, [f'{file}:{key}' for key in functions])}")
        return MetricConfig(function=function, module=file)
    return MetricConfig(function=name) if "/" in name else None


def _network_of(name: str) -> tuple[str, str | None, str]:
    """The network, variant and version of a name."""
    for net in sorted(in_configs("net"), key=len, reverse=True):
        if name.startswith(net) and (match := ENDING.fullmatch(name.removeprefix(net))):
            return net, match[1], match[2] or "0.1"
    raise UserError(f"{name}: no such method: {expected(name, (*in_configs('metric'), *in_configs('net')))}")


def _settings(metrics: Sequence[str], nets: Sequence[str], download: bool) -> EvaluateConfig:
    """The settings of tables that have rows of these metrics and networks alone."""
    overrides = [
        f"metric=[{','.join({in_configs('metric')[name][0]: 0 for name in metrics})}]",
        f"net=[{','.join({in_configs('net')[name][0]: 0 for name in nets})}]",
        *("variant=[off_the_shelf,lin]", "data=mini", "trained_on=null", f"download={download}"),
    ]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return parse(compose("evaluate", overrides), EvaluateConfig)


def _published(methods: Sequence[Method], name: str, network: tuple[str, str | None, str] | None) -> Method:
    """The method of a name, which is that of a metric if it is not of a network, variant and version."""
    net, variant, version = network or (name, "", "")
    methods = [method for method in methods if method.name == net]
    if variant is None:
        variant = "lin" if any(method.variant == "lin" for method in methods) else "off_the_shelf"
    for method in methods:
        if (method.variant, method.version) == (variant, version):
            return method
    there = ", ".join(dict.fromkeys(f"{net}-{method.variant}-v{method.version}" for method in methods))
    raise UserError(f"{name}: no such method: expected one of {there}")


def _with_weights(settings: EvaluateConfig, net: str, variant: str | None, version: str, file: Path) -> Method:
    """A network with the weights of a file."""
    backbone = settings.net[net].backbone

    def build(engine: Engine) -> Distance:
        state = read_state(file)
        if all(key.startswith("lin") for key in state):
            metric = LPIPS(backbone, "lin", version, lin_weights=state)
        else:
            metric = LPIPS.from_official(backbone, version, state, variant)
        return lpips_distance(metric, engine)

    return Method("lpips", net, build, file.stem, version)
