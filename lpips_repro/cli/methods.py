"""The methods of the command, found by name and loaded."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lpips_repro.backbones import check_backbone
from lpips_repro.config.yaml_files import computed_metrics, in_configs
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances.compute import Distance, Engine
from lpips_repro.evaluation.methods.find import OWN_METRIC, find_method, network_of
from lpips_repro.evaluation.methods.method import Method
from lpips_repro.evaluation.methods.published import lpips_distance
from lpips_repro.metrics.lpips import LPIPS
from lpips_repro.metrics.lpips.released import RELEASED_PREFIXES
from lpips_repro.versions import OWN, package_version
from lpips_repro.weights.checkpoints import without_wrappers
from lpips_repro.weights.state_dicts import read_state


@dataclass(frozen=True)
class ReadyMethod:
    """A loaded method.

    Attributes:
        label: label as in the tables.
        distance: the function that computes its distances.
        settings: everything that its values depend on, except the images.
    """

    label: str
    distance: Distance
    settings: dict[str, Any]


def find_methods(names: Sequence[str], weights: Path | None = None, download: bool = True) -> list[Method]:
    """Return the methods with some names, in order: see `find_method`.

    Args:
        names: names of methods; repeated ones are dropped.
        weights: weights of a network instead of the published ones: `weights.pth` of a training run, only lin weights,
            or only those of the backbone, which is off the shelf unless the name has `-lin`.
        download: whether missing weights may be downloaded.

    Raises:
        UserError: if a name does not exist (the message lists those that do), or names a method whose distances come
            from another program.
    """
    for name in names:
        if name in in_configs("metric") and name not in computed_metrics():
            raise UserError(f"{name}: distances of another program: `lpips-repro metrics` lists what runs here")
    if weights is None:
        methods = [find_method(name, download=download) for name in names]
    else:
        methods = [_with_weights(name, weights) for name in names]
    return list({method.label: method for method in methods}.values())


def prepare(methods: Sequence[Method], engine: Engine) -> tuple[list[ReadyMethod], dict[str, str]]:
    """Load the weights and libraries of methods.

    Returns:
        The loaded methods; and by label why the others could not be loaded, such as missing weights.
    """
    ready: list[ReadyMethod] = []
    missing: dict[str, str] = {}
    for method in methods:
        try:
            distance = method.build(engine)
        except UserError as error:
            missing[method.label] = str(error)
        else:
            assert isinstance(distance, Distance)  # `find_methods` refuses distances of other programs
            ready.append(ReadyMethod(method.label, distance, settings_of(method.label, distance)))
    return ready, missing


def settings_of(label: str, distance: Distance) -> dict[str, Any]:
    """Return what the values of a method depend on, except the images: versions, and the identity of the method.

    A function of the user has its file, since its identity has only the digest of the file.
    """
    function = {"function": label} if OWN_METRIC.fullmatch(label) else {}
    return {OWN: package_version(OWN), "pillow": package_version("pillow"), **distance.identity, **function}


def _with_weights(name: str, file: Path) -> Method:
    """A network with the weights of a file."""
    network = network_of(name)
    if network is None:
        raise UserError(f"--weights {file}: {find_method(name).label} has no weights: name one network with -m")
    key, settings, variant, version = network
    backbone = settings[key]["backbone"]
    check_backbone(backbone)

    def build(engine: Engine) -> Distance:
        state = without_wrappers(read_state(file))
        if all(key.startswith("lin") for key in state):
            metric = LPIPS(backbone, "lin", version, lin_weights=state)
        elif any(key.startswith(RELEASED_PREFIXES) for key in state):
            metric = LPIPS.from_official(backbone, version, state, variant)
        else:  # only a backbone
            metric = LPIPS(backbone, variant or "off_the_shelf", version, weights=file)
        return lpips_distance(metric, engine)

    return Method("lpips", key, build, file.stem, version)
