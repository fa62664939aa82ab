"""Metrics of other libraries by name: `piq/mdsi`, `torchmetrics/visual_information_fidelity`, `stlpips_pytorch/alex`.

`lpips_repro.config.library_table` says what is known of each. Here all of them take images in [0, 1], (N, 3, H, W),
and return N values.
"""

import functools
import importlib
import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lpips_repro.config.library_table import LIBRARY_METRICS, LibraryMetric
from lpips_repro.errors import UserError, expected
from lpips_repro.metrics import library_networks
from lpips_repro.precision import full_float32
from lpips_repro.weights.state_dicts import digest_state

INSTALL = 'pip install "lpips_repro[later]"'


# Where the functions of a library are, if not in the library itself.
_MODULES = {"torchmetrics": "torchmetrics.functional.image"}


def is_library_metric(name: str) -> bool:
    """Whether a name is of the form LIBRARY/METRIC."""
    return "/" in name


def library_metric(name: str) -> LibraryMetric:
    """What is known of a metric LIBRARY/METRIC; UserError if it is not in the table, with those that are."""
    library, _, metric = name.partition("/")
    if library not in LIBRARY_METRICS:
        raise UserError(f"{name}: no such library: {expected(library, LIBRARY_METRICS)}")
    if metric not in LIBRARY_METRICS[library]:
        raise UserError(f"{name}: no such metric of {library}: {expected(metric, LIBRARY_METRICS[library])}")
    return LIBRARY_METRICS[library][metric]


class LibraryFunction:
    """A metric LIBRARY/METRIC, ready: of images (N, 3, H, W) in [0, 1] on a device, it returns N values.

    Args:
        name: LIBRARY/METRIC.
        device: for what it computes.
        settings: of its function or network, which are added to those in the table, or replace them.
        download: whether weights that are not on this computer may be downloaded.

    Attributes:
        spec: what is known of it.
        identity: what its values depend on, besides the version of the library: name, settings, weights.

    Raises:
        UserError: if the metric is not in the table, its library is not installed or too old, weights are missing, or
            it does not know a setting.
    """

    def __init__(
        self, name: str, device: torch.device, settings: Mapping[str, Any] | None = None, download: bool = True
    ):
        self.name, self.spec = name, library_metric(name)
        self.settings = {**self.spec.settings, **(settings or {})}
        self.identity: dict[str, Any] = {"function": name, "settings": self.settings}
        self._function: Callable[..., Tensor]
        if self.spec.network is None:
            function = _function(name)
            _check_settings(name, function, self.settings)
            self._function = functools.partial(function, **self.settings)
        else:
            builder = getattr(library_networks, self.spec.network)
            _check_settings(name, builder, self.settings)
            network = _build(name, builder, self.settings, download)
            self.identity["weights"] = digest_state(network.state_dict())
            self._function = network.to(device)

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """N values of images y, to which x are the references; ValueError if the images are too small."""
        height, width = x.shape[2:]
        if min(height, width) < self.spec.least:
            least = self.spec.least
            raise ValueError(f"{self.name} takes at least {least} pixels per side: these images are {height}x{width}")
        values = self._values(x, y)
        if self.spec.flat_is_zero:
            return torch.where((x == y).flatten(1).all(dim=1), self.spec.best, values)
        return values

    def _values(self, x: Tensor, y: Tensor) -> Tensor:
        low, high = self.spec.span
        if (low, high) != (0, 1):
            x, y = (low + (high - low) * images for images in (x, y))
        with full_float32():
            # All of these libraries take the reference second; of VIF and others it matters.
            if self.spec.alone:
                pairs = zip(y.split(1), x.split(1), strict=True)
                return torch.cat([self._function(image, reference).reshape(1) for image, reference in pairs])
            return self._function(y, x).reshape(len(x))


def _function(name: str) -> Callable[..., Tensor]:
    library, _, metric = name.partition("/")
    try:
        module = importlib.import_module(_MODULES.get(library, library))
    except Exception as error:  # of another library: whatever it raises
        raise _not_imported(name, error) from error
    function: Callable[..., Tensor] | None = getattr(module, metric, None)
    if function is None:
        raise UserError(f"{name}: the installed version of {library} has no such metric: {INSTALL} --upgrade")
    return function


def _build(name: str, network: Callable[..., nn.Module], settings: Mapping[str, Any], download: bool) -> nn.Module:
    try:
        # Initial values are drawn before weights are loaded; what is deprecated in torchvision is no business of users.
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings(action="ignore"):
            return network(**settings, download=download).eval().requires_grad_(False)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
    except Exception as error:
        raise _not_imported(name, error) from error


def _not_imported(name: str, error: Exception) -> UserError:
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").partition(".")[0]
        return UserError(f"{name}: the package {package} is not installed: run {INSTALL}")
    reason = str(error).strip().partition("\n")[0]
    return UserError(f"{name}: cannot be loaded: {type(error).__name__}: {reason}")


def _check_settings(name: str, function: Callable[..., Any], settings: Iterable[str]) -> None:
    """UserError for a setting that a function or the builder of a network does not know."""
    known = [one for one in inspect.signature(function).parameters if one != "download"]
    for setting in settings:
        if setting not in known:
            raise UserError(f"{name}: {setting}: unknown setting: {expected(setting, known, 'some')}")
