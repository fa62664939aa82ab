"""The metrics by name, each with the way its value becomes a distance (smaller is more similar)."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from lpips_repro.errors import check_new


class Metric(NamedTuple):
    """A registered metric: `function(x, y, **settings)` takes images in [0, 1] and returns N values."""

    function: Callable[..., Tensor]
    to_distance: Callable[[Tensor], Tensor]


METRICS: dict[str, Metric] = {}


def register_metric(
    to_distance: Callable[[Tensor], Tensor] = lambda value: value,
) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Register a function of (x, y, **settings) under its own name.

    Args:
        to_distance: turns the function's value into a distance, where a larger value means more similar.
    """

    def register(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        check_new("metric", function.__name__, METRICS)
        METRICS[function.__name__] = Metric(function, to_distance)
        return function

    return register
