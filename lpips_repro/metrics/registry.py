"""The registry of metrics, each with the conversion of its value to a distance (smaller is more similar)."""

import inspect
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from lpips_repro.errors import UserError, check_new


class Metric(NamedTuple):
    """A registered metric: `function(x, y, **settings)` takes images in [0, 1] and returns N values."""

    function: Callable[..., Tensor]
    to_distance: Callable[[Tensor], Tensor]


METRICS: dict[str, Metric] = {}


def register_metric(
    to_distance: Callable[[Tensor], Tensor] = lambda value: value,
) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Register a function of (x, y, **settings) under the name of the function.

    Args:
        to_distance: converts the value to a distance; needed if a larger value means more similar.

    Raises:
        UserError: if it is not a function but, for example, a module or a partial, whose file does not show what it
            computes; or if `to_distance` is not callable.
    """
    if not callable(to_distance):
        what = f"to_distance={to_distance!r}"
        raise UserError(f"register_metric: {what}: expected a function; a metric has the name of its own function")

    def register(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        if not inspect.isfunction(function):
            name = type(function).__name__
            raise UserError(f"register_metric: got a {name}: expected a function: write one with `def` that calls it")
        check_new("metric", function.__name__, METRICS)
        METRICS[function.__name__] = Metric(function, to_distance)
        return function

    return register
