"""The methods of the command by name: the metrics and networks of `configs/`, and weights of a training run."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from tabulate import tabulate

from lpips_repro.config import EvaluateConfig, parse
from lpips_repro.config.paths import CONFIGS
from lpips_repro.errors import UserError, expected
from lpips_repro.evaluation.distances.compute import Distance, Engine
from lpips_repro.evaluation.methods.method import Method
from lpips_repro.evaluation.methods.published import list_methods, lpips_distance
from lpips_repro.metrics.lpips import LPIPS
from lpips_repro.versions import OWN, package_version
from lpips_repro.weights.state_dicts import read_state

DEFAULT = "alex"
# What may follow the name of a network, as in alex-lin-v0.1.
ENDING = re.compile(r"(?:-(off_the_shelf|lin))?(?:-v(0\.[01]))?")


@dataclass(frozen=True)
class ReadyMethod:
    """A method ready to run on an engine: its label as in the tables, and what its values depend on."""

    label: str
    distance: Distance
    settings: dict[str, Any]


@cache
def names_in_configs(group: str) -> dict[str, str]:
    """The names of metrics or networks, and the file in `configs/` of each: {"l2-rgb": "l2_rgb", ...}."""
    files = sorted((CONFIGS / group).glob("*.yaml"))
    return {str(name): file.stem for file in files for name in OmegaConf.load(file)}


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
    found: dict[str, Method] = {}
    for name in names:
        method = _find(name, download) if weights is None else _with_weights(name, weights)
        found.setdefault(method.label, method)
    return list(found.values())


def table_of_names() -> str:
    """The names that `find_methods` takes, with what each is."""
    rows = [(name, _first_comment("metric", file)) for name, file in names_in_configs("metric").items()]
    rows += [(name, _first_comment("net", file)) for name, file in names_in_configs("net").items()]
    endings = (
        "A network may be followed by its variant and version, as in alex-lin-v0.0 or alex-off_the_shelf-v0.1. By"
        " default it is calibrated (lin) if the authors published weights for that, and v0.1."
    )
    return f"{tabulate(rows, ('name', 'method'))}\n\n{endings}"


def _first_comment(group: str, file: str) -> str:
    """What a file of `configs/` says of itself, without the command."""
    line = (CONFIGS / group / f"{file}.yaml").read_text().partition("\n")[0]
    return line.removeprefix("# ").partition(".  make ")[0]


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
    """What the values of a method depend on, besides the images: all of its identity, and this program's version."""
    return {OWN: package_version(OWN), **distance.identity}


def _find(name: str, download: bool) -> Method:
    if name in names_in_configs("metric"):
        return list_methods(_settings(metric=name))[0]
    net, variant, version = _network_of(name)
    methods = list_methods(_settings(net=net, download=download))
    chosen = variant or ("lin" if any(method.variant == "lin" for method in methods) else "off_the_shelf")
    for method in methods:
        if (method.variant, method.version) == (chosen, version):
            return method
    there = ", ".join(dict.fromkeys(f"{net}-{method.variant}-v{method.version}" for method in methods))
    raise UserError(f"{name}: no such method: expected one of {there}")


def _network_of(name: str) -> tuple[str, str | None, str]:
    """The network, variant and version of a name."""
    for net in sorted(names_in_configs("net"), key=len, reverse=True):
        if name.startswith(net) and (match := ENDING.fullmatch(name.removeprefix(net))):
            return net, match[1], match[2] or "0.1"
    known = (*names_in_configs("metric"), *names_in_configs("net"))
    raise UserError(f"{name}: no such method: {expected(name, known)}")


def _settings(*, metric: str = "", net: str = "", download: bool = True) -> EvaluateConfig:
    """The settings of tables that have a row of this metric or network alone."""
    overrides = [
        f"metric=[{names_in_configs('metric')[metric] if metric else ''}]",
        f"net=[{names_in_configs('net')[net] if net else ''}]",
        *("variant=[off_the_shelf,lin]", "data=mini", "trained_on=null", f"download={download}"),
    ]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return parse(compose("evaluate", overrides), EvaluateConfig)


def _with_weights(name: str, file: Path) -> Method:
    """A network with the weights of a file."""
    if name in names_in_configs("metric"):
        raise UserError(f"--weights {file}: {name} has no weights: name one network with -m")
    net, variant, version = _network_of(name)
    backbone = _settings(net=net).net[net].backbone

    def build(engine: Engine) -> Distance:
        state = read_state(file)
        if all(key.startswith("lin") for key in state):
            metric = LPIPS(backbone, "lin", version, lin_weights=state)
        else:
            metric = LPIPS.from_official(backbone, version, state, variant)
        return lpips_distance(metric, engine)

    return Method("lpips", net, build, file.stem, version)
