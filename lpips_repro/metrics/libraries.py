"""Metrics of other libraries by name: `piq/mdsi`, `torchmetrics/visual_information_fidelity`, `stlpips_pytorch/alex`.

The table below says what the libraries do not say in one place: which way a metric points, what it is for equal images,
how small images may be, whether a batch is only the sum of its images, and the range of values that it takes.
Here all of them take images in [0, 1], (N, 3, H, W), and return N values.

Left out: metrics that download weights (LPIPS, DISTS and PieAPP of piq, LPIPS and DISTS of torchmetrics), take gray
images alone (PSNR-B), or are undefined where the reference is black (ERGAS, RASE and SAM of torchmetrics). Of images
without any structure some of the others are undefined, too: haarpsi and VIF of black ones, information_weighted_ssim,
and spatial_correlation_coefficient and universal_image_quality_index, which are 0 then.
"""

import functools
import importlib
import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from lpips_repro.errors import UserError, expected
from lpips_repro.metrics.library_networks import dists, shift_tolerant_lpips
from lpips_repro.precision import full_float32
from lpips_repro.weights.state_dicts import digest_state

INSTALL = 'pip install "lpips_repro[later]"'


@dataclass(frozen=True)
class LibraryMetric:
    """What is known of a metric of another library.

    Attributes:
        least: the smallest side of images, in pixels, from which it gives numbers that grow with the difference.
        best: its value for equal images; infinity if it has none.
        similarity: a larger value means more similar.
        settings: with which the function returns a value per image.
        alone: images are given one by one, because in a batch they change each other's values, or are averaged.
        network: builds the metric, which is a network, from `settings`; None of a function.
        span: the range of values that it takes, to which images in [0, 1] are scaled.
    """

    least: int
    best: float = 0.0
    similarity: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    alone: bool = False
    network: Callable[..., nn.Module] | None = None
    span: tuple[float, float] = (0.0, 1.0)

    def to_distance(self, value: Tensor) -> Tensor:
        """A value as a distance: 0 for equal images, or minus the value if it has no best."""
        if not self.similarity:
            return value
        return self.best - value if self.best != float("inf") else -value


_EACH = {"reduction": "none"}
_UNIT = {"data_range": 1.0}
_OF_PIQ = functools.partial(LibraryMetric, best=1.0, similarity=True, settings=_EACH)
_OF_TORCHMETRICS = functools.partial(LibraryMetric, best=1.0, similarity=True)
_ST_LPIPS = functools.partial(LibraryMetric, network=shift_tolerant_lpips, span=(-1.0, 1.0))

# By library, then by the name of its function.
LIBRARY_METRICS: dict[str, dict[str, LibraryMetric]] = {
    "piq": {
        "dss": _OF_PIQ(32),
        "fsim": _OF_PIQ(2),
        "gmsd": LibraryMetric(3, settings=_EACH),
        "haarpsi": _OF_PIQ(16),
        "information_weighted_ssim": _OF_PIQ(161, alone=True),  # batches have another rounding: up to 2e-4
        "mdsi": LibraryMetric(2, settings=_EACH),
        "multi_scale_gmsd": LibraryMetric(17, settings=_EACH),
        "multi_scale_ssim": _OF_PIQ(161),
        "psnr": _OF_PIQ(1, best=80.0),
        "srsim": _OF_PIQ(40, alone=True),
        "ssim": _OF_PIQ(11),
        "vif_p": _OF_PIQ(41),
        "vsi": _OF_PIQ(2),
    },
    "torchmetrics": {
        "multiscale_structural_similarity_index_measure": _OF_TORCHMETRICS(176, settings=_EACH | _UNIT),
        "peak_signal_noise_ratio": _OF_TORCHMETRICS(1, best=float("inf"), settings=_EACH | _UNIT | {"dim": (1, 2, 3)}),
        "root_mean_squared_error_using_sliding_window": LibraryMetric(9, alone=True),
        "spatial_correlation_coefficient": _OF_TORCHMETRICS(8, settings=_EACH),
        "structural_similarity_index_measure": _OF_TORCHMETRICS(6, settings=_EACH | _UNIT),
        "universal_image_quality_index": _OF_TORCHMETRICS(11, alone=True),
        "visual_information_fidelity": _OF_TORCHMETRICS(41, alone=True, span=(0.0, 255.0)),
    },
    "stlpips_pytorch": {
        "alex": _ST_LPIPS(21, settings={"net": "alex"}),
        "vgg": _ST_LPIPS(18, settings={"net": "vgg"}),
    },
    "DISTS_pytorch": {"DISTS": LibraryMetric(1, network=dists)},
}
# Where the functions of a library are, if not in the library itself.
_MODULES = {"torchmetrics": "torchmetrics.functional.image"}


def is_library_metric(name: str) -> bool:
    """Whether a name is of the form LIBRARY/METRIC."""
    return "/" in name


def library_metrics() -> list[str]:
    """The names of all metrics in the table, LIBRARY/METRIC."""
    return [f"{library}/{metric}" for library, metrics in LIBRARY_METRICS.items() for metric in metrics]


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
            _check_settings(name, self.spec.network, self.settings)
            network = _build(name, self.spec.network, self.settings, download)
            self.identity["weights"] = digest_state(network.state_dict())
            self._function = network.to(device)

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """N values of images y, to which x are the references; ValueError if the images are too small."""
        height, width = x.shape[2:]
        if min(height, width) < self.spec.least:
            least = self.spec.least
            raise ValueError(f"{self.name} takes images of at least {least} pixels a side: these are {height}x{width}")
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
