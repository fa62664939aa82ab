"""Metrics of other libraries by name: `piq/mdsi`, `torchmetrics/visual_information_fidelity`, `stlpips_pytorch/alex`.

The table below says what the libraries do not say in one place: which way a metric points, what it is for equal images,
how small images may be, and whether a batch is only the sum of its images. All take images in [0, 1], (N, 3, H, W),
and return N values.
"""

import functools
import importlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lpips_repro.errors import UserError, expected

Function = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class LibraryMetric:
    """What is known of a metric of another library.

    Attributes:
        least: the smallest side of images, in pixels.
        best: its value for equal images; infinity if it has none.
        similarity: a larger value means more similar.
        settings: with which the function returns a value per image.
        alone: images are given one by one, because in a batch they change each other's values.
        module: a network, which is made first, with `settings`; its input is scaled to [-1, 1] if `signed`.
    """

    least: int
    best: float = 0.0
    similarity: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    alone: bool = False
    module: bool = False
    signed: bool = False


_EACH = {"reduction": "none"}
_OF_PIQ = functools.partial(LibraryMetric, best=1.0, similarity=True, settings=_EACH)
_OF_TORCHMETRICS = functools.partial(LibraryMetric, best=1.0, similarity=True)
_STLPIPS = {"variant": "shift_tolerant", "verbose": False}

# By library, then by the name of its function.
LIBRARY_METRICS: dict[str, dict[str, LibraryMetric]] = {
    "piq": {
        "dss": _OF_PIQ(32),
        "fsim": _OF_PIQ(8),
        "gmsd": LibraryMetric(8, settings=_EACH),
        "haarpsi": _OF_PIQ(16),
        "information_weighted_ssim": _OF_PIQ(161),
        "mdsi": LibraryMetric(8, settings=_EACH),
        "multi_scale_gmsd": LibraryMetric(17, settings=_EACH),
        "multi_scale_ssim": _OF_PIQ(161),
        "psnr": _OF_PIQ(8, best=80.0),
        "srsim": _OF_PIQ(41, alone=True),
        "ssim": _OF_PIQ(11),
        "vif_p": _OF_PIQ(41),
        "vsi": _OF_PIQ(8),
    },
    "torchmetrics": {
        "multiscale_structural_similarity_index_measure": _OF_TORCHMETRICS(161, settings=_EACH | {"data_range": 1.0}),
        "peak_signal_noise_ratio": _OF_TORCHMETRICS(
            1, best=float("inf"), settings=_EACH | {"data_range": 1.0, "dim": (1, 2, 3)}
        ),
        "spatial_correlation_coefficient": _OF_TORCHMETRICS(9, settings=_EACH),
        "structural_similarity_index_measure": _OF_TORCHMETRICS(11, settings=_EACH | {"data_range": 1.0}),
        "visual_information_fidelity": _OF_TORCHMETRICS(41, settings=_EACH),
    },
    "stlpips_pytorch": {
        "alex": LibraryMetric(64, settings=_STLPIPS | {"net": "alex"}, module=True, signed=True),
        "vgg": LibraryMetric(64, settings=_STLPIPS | {"net": "vgg"}, module=True, signed=True),
    },
    "DISTS_pytorch": {"DISTS": LibraryMetric(16, module=True)},
}
# The function or class that a name stands for, if it is not the name itself in the library itself.
_PLACES = {"torchmetrics": "torchmetrics.functional.image", "stlpips_pytorch": "stlpips_pytorch.stlpips"}
_CLASSES = {"stlpips_pytorch": "LPIPS"}


def is_library_metric(name: str) -> bool:
    """Whether a name is of the form LIBRARY/METRIC."""
    return "/" in name


def library_metric(name: str) -> LibraryMetric:
    """What is known of a metric LIBRARY/METRIC; UserError if it is not in the table."""
    library, _, metric = name.partition("/")
    if library not in LIBRARY_METRICS:
        raise UserError(f"{name}: {library}: {expected(library, LIBRARY_METRICS)}")
    if metric not in LIBRARY_METRICS[library]:
        raise UserError(f"{name}: {metric}: {expected(metric, LIBRARY_METRICS[library])}")
    return LIBRARY_METRICS[library][metric]


def load_library_metric(name: str, device: torch.device) -> Function:
    """The function of a metric LIBRARY/METRIC: of images (N, 3, H, W) in [0, 1] on a device, it returns N values.

    Raises:
        UserError: if the metric is not in the table, or its library is not installed.
    """
    spec = library_metric(name)
    library, _, metric = name.partition("/")
    try:
        made = getattr(importlib.import_module(_PLACES.get(library, library)), _CLASSES.get(library, metric))
    except ImportError as error:
        raise UserError(f"{name}: {error.name} is not installed: pip install {library.replace('_', '-')}") from error
    function = functools.partial(made, **spec.settings)
    if spec.module:
        with warnings.catch_warnings(action="ignore"):  # of old spellings in torchvision
            network = made(**spec.settings).eval().requires_grad_(False).to(device)
        function = network

    def measure(x: Tensor, y: Tensor) -> Tensor:
        if min(x.shape[2:]) < spec.least:
            found = min(x.shape[2:])
            raise ValueError(f"{name} takes images of at least {spec.least} pixels a side: these have {found}")
        if spec.signed:
            x, y = 2 * x - 1, 2 * y - 1
        if spec.alone:
            return torch.cat([function(a, b).reshape(1) for a, b in zip(x.split(1), y.split(1), strict=True)])
        values: Tensor = function(x, y)
        return values.reshape(len(x))

    return measure


def distance_of_library(name: str, value: Tensor) -> Tensor:
    """A value of a metric LIBRARY/METRIC as a distance: 0 for equal images, or minus the value if they have no best."""
    spec = library_metric(name)
    if not spec.similarity:
        return value
    return spec.best - value if spec.best != float("inf") else -value
