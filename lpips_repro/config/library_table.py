"""What is known of the metrics of other libraries, LIBRARY/METRIC, without these libraries and without PyTorch.

The table says what the libraries do not say in one place: which way a metric points, what it is for equal images, how
small images may be, whether a batch is only the sum of its images, and the range of values that it takes.
`lpips_repro.metrics.libraries` runs them.

Left out: metrics that download weights (LPIPS, DISTS and PieAPP of piq, LPIPS and DISTS of torchmetrics), take gray
images alone (PSNR-B), or are undefined where the reference is black (ERGAS, RASE and SAM of torchmetrics). Of images
without any structure some of the others are undefined, too: haarpsi and VIF of black ones, and
information_weighted_ssim. spatial_correlation_coefficient and universal_image_quality_index count places where both
images are flat as 0, as if they differed. Here their value for equal images is always the best one, 1.
"""

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the shell completes these names at once
    from torch import Tensor


@dataclass(frozen=True)
class LibraryMetric:
    """What is known of a metric of another library.

    Attributes:
        least: the smallest side of images, in pixels, from which it gives numbers that grow with the difference.
        best: its value for equal images; infinity if it has none.
        similarity: a larger value means more similar.
        settings: with which the function returns a value per image.
        alone: images are given one by one, because in a batch they change each other's values, or are averaged.
        flat_is_zero: it counts places where both images are flat as 0, equal ones too.
        network: the function of `lpips_repro.metrics.library_networks` that builds the metric, which is a network, from
            `settings`; None of a function.
        span: the range of values that it takes, to which images in [0, 1] are scaled.
    """

    least: int
    best: float = 0.0
    similarity: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    alone: bool = False
    flat_is_zero: bool = False
    network: str | None = None
    span: tuple[float, float] = (0.0, 1.0)

    @property
    def of_equal(self) -> float:
        """The distance of equal images: 0, or minus infinity if the metric has no best value."""
        return 0.0 if self.best != float("inf") else -float("inf")

    def to_distance(self, value: "Tensor") -> "Tensor":
        """A value as a distance: 0 for equal images, or minus the value if it has no best."""
        if not self.similarity:
            return value
        return self.best - value if self.best != float("inf") else -value


_EACH = {"reduction": "none"}
_UNIT = {"data_range": 1.0}
_OF_PIQ = functools.partial(LibraryMetric, best=1.0, similarity=True, settings=_EACH)
_OF_TORCHMETRICS = functools.partial(LibraryMetric, best=1.0, similarity=True)
_ST_LPIPS = functools.partial(LibraryMetric, network="shift_tolerant_lpips", span=(-1.0, 1.0))

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
        "spatial_correlation_coefficient": _OF_TORCHMETRICS(8, settings=_EACH, flat_is_zero=True),
        "structural_similarity_index_measure": _OF_TORCHMETRICS(6, settings=_EACH | _UNIT),
        "universal_image_quality_index": _OF_TORCHMETRICS(11, alone=True, flat_is_zero=True),
        "visual_information_fidelity": _OF_TORCHMETRICS(41, alone=True, span=(0.0, 255.0)),
    },
    "stlpips_pytorch": {
        "alex": _ST_LPIPS(21, settings={"net": "alex"}),
        "vgg": _ST_LPIPS(18, settings={"net": "vgg"}),
    },
    "DISTS_pytorch": {"DISTS": LibraryMetric(1, network="dists")},
}


def library_metrics() -> list[str]:
    """The names of all metrics in the table, LIBRARY/METRIC."""
    return [f"{library}/{metric}" for library, metrics in LIBRARY_METRICS.items() for metric in metrics]
