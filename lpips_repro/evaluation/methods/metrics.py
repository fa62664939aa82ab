"""The row of a metric that is no network of this package: its own, of a file, of another library or program."""

import functools
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from lpips_repro.config import MetricConfig
from lpips_repro.errors import Terminated, UserError, check_choice
from lpips_repro.evaluation.distances.compute import Distance, Engine, distances_of, of_pairs
from lpips_repro.evaluation.distances.precomputed import PrecomputedDistances
from lpips_repro.evaluation.methods.method import Method, paper_row
from lpips_repro.metrics import METRICS
from lpips_repro.metrics.libraries import LibraryFunction, is_library_metric, library_metric
from lpips_repro.provenance import LIBRARIES, PACKAGE, file_of, provenance
from lpips_repro.provenance import METRICS as METRICS_CODE

# Pixels a side: those of a patch; and for metrics that need more, so that it is the size that they refuse there.
TRIAL_SIZES = (64, 512)


def metric_method(name: str, metric: MetricConfig, download: bool = True) -> Method:
    """The method of a metric's settings.

    Args:
        name: of the method.
        metric: its settings; `MetricConfig(function="piq/mdsi")` is enough.
        download: whether weights that are not on this computer may be downloaded.

    Raises:
        UserError: for a function that does not exist, with those that do, and for settings that it refuses.
    """
    if metric.function is None:
        return _other_program(name, metric)
    if is_library_metric(metric.function):
        return _of_library(name, metric, metric.function, download)
    return _classic(name, metric, metric.function)


def _other_program(name: str, metric: MetricConfig) -> Method:
    """Distances that another program computed: see `lpips_repro.evaluation.distances.precomputed`."""

    def build(engine: Engine) -> PrecomputedDistances:
        if not metric.distances:
            raise UserError(metric.remedy)
        return PrecomputedDistances(Path(metric.distances))

    return Method("low-level", name, build, paper=paper_row(metric.paper, ""))


def _of_library(name: str, metric: MetricConfig, chosen: str, download: bool) -> Method:
    """A metric of another library: see `lpips_repro.metrics.libraries`."""
    spec = library_metric(chosen)
    library = chosen.partition("/")[0]

    def build(engine: Engine) -> Distance:
        function = LibraryFunction(chosen, engine.device, metric.settings, download)
        where = circumstances(Engine(engine.device), libraries=(*LIBRARIES, library))
        measure, finish = of_pairs(function, copied=True), distances_of(spec.to_distance)
        identity = {**function.identity, **where}
        return Distance(measure, identity, finish, measures_value=True, of_equal=spec.of_equal)

    return Method("low-level", name, build, paper=paper_row(metric.paper, ""))


def _classic(name: str, metric: MetricConfig, chosen: str) -> Method:
    check_choice(f"metric.{name}.function", chosen, METRICS)
    function, to_distance = METRICS[chosen]
    if refused := _refused_settings(function, metric.settings):
        raise UserError(f"metric.{name}.settings={metric.settings}: {refused}")

    def build(engine: Engine) -> Distance:
        known = inspect.signature(function).parameters
        how = {"compiled": True} if engine.compiled and "compiled" in known else {}
        unchecked = {"validate": False} if "validate" in known else {}  # images come from bytes

        file = file_of(function)
        is_ours = file is not None and file.is_relative_to(PACKAGE)  # another one may change its images in place
        metric_of = functools.partial(function, **{**unchecked, **metric.settings, **how})
        where = circumstances(Engine(engine.device), (function, to_distance))
        # Nested: a setting may have any name, one of the other keys for example.
        identity = {"function": chosen, "settings": metric.settings, **where, **how}
        measure = of_pairs(metric_of, copied=not is_ours)
        return Distance(measure, identity, distances_of(to_distance), measures_value=True)

    return Method("low-level", name, build, paper=paper_row(metric.paper, ""))


def _refused_settings(function: Callable[..., Any], settings: dict[str, Any]) -> Exception | None:
    """What a metric says of settings that it refuses for images of any size, else None.

    Any other error is told where it occurs: in the distances of the images that it occurs with.
    """
    refused: Exception | None = None
    with torch.random.fork_rng(devices=[]):  # the metric may draw random numbers, too
        for size in TRIAL_SIZES:
            try:
                function(*torch.rand(2, 1, 3, size, size, generator=torch.Generator().manual_seed(0)), **settings)
            except (TypeError, ValueError) as error:
                refused = error  # of the larger images: not of the size
            except Terminated:
                raise
            except (Exception, SystemExit):  # not of the settings: the row will have it as its reason
                return None
            else:
                return None
    return refused


def circumstances(
    engine: Engine, own: Iterable[Callable[..., Any] | None] = (), libraries: tuple[str, ...] = LIBRARIES
) -> dict[str, Any]:
    """What else the values depend on: dtype, device, whether compiled, code and libraries; arguments as below."""
    dtype = str(engine.dtype).removeprefix("torch.")
    compiled = {"compiled": True} if engine.compiled else {}
    made_by = provenance(*METRICS_CODE, libraries=libraries, own=own)
    return {"dtype": dtype, **compiled, "device": engine.device.type, **made_by}
