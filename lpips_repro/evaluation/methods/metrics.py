"""Methods that are not networks of this package: its own metrics, and those of files, libraries and programs."""

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

# Sides of images to try settings with: a patch, and a large image for metrics that refuse patches.
TRIAL_SIZES = (64, 512)


def metric_method(name: str, metric: MetricConfig, download: bool = True) -> Method:
    """The method of a metric's settings.

    Args:
        name: name of the method.
        metric: its settings, such as `MetricConfig(function="piq/mdsi")`.
        download: whether to download weights that are not on this computer.

    Raises:
        UserError: if the function does not exist (the message lists known ones), or if it refuses the settings.
    """
    if metric.function is None:
        return _other_program(name, metric)
    if is_library_metric(metric.function):
        return _of_library(name, metric, metric.function, download)
    return _classic(name, metric, metric.function)


def _other_program(name: str, metric: MetricConfig) -> Method:
    """Distances of another program: see `lpips_repro.evaluation.distances.precomputed`."""

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
        is_ours = file is not None and file.is_relative_to(PACKAGE)  # other functions may change their images in place
        metric_of = functools.partial(function, **{**unchecked, **metric.settings, **how})
        where = circumstances(Engine(engine.device), (function, to_distance))
        # Settings are nested, since they may have the names of other keys.
        identity = {"function": chosen, "settings": metric.settings, **where, **how}
        measure = of_pairs(metric_of, copied=not is_ours)
        return Distance(measure, identity, distances_of(to_distance), measures_value=True)

    return Method("low-level", name, build, paper=paper_row(metric.paper, ""))


def _refused_settings(function: Callable[..., Any], settings: dict[str, Any]) -> Exception | None:
    """The error of a metric that refuses settings for images of any size, else None.

    Other errors are reported when distances are computed.
    """
    refused: Exception | None = None
    with torch.random.fork_rng(devices=[]):  # the metric may also draw random numbers
        for size in TRIAL_SIZES:
            try:
                function(*torch.rand(2, 1, 3, size, size, generator=torch.Generator().manual_seed(0)), **settings)
            except (TypeError, ValueError) as error:
                refused = error  # an error for large images is not about the size
            except Terminated:
                raise
            except (Exception, SystemExit):  # not about the settings: the row will show it
                return None
            else:
                return None
    return refused


def circumstances(
    engine: Engine, own: Iterable[Callable[..., Any] | None] = (), libraries: tuple[str, ...] = LIBRARIES
) -> dict[str, Any]:
    """Entries of an identity: dtype, device, compilation, code and libraries; own, libraries: as for `provenance`."""
    dtype = str(engine.dtype).removeprefix("torch.")
    compiled = {"compiled": True} if engine.compiled else {}
    made_by = provenance(*METRICS_CODE, libraries=libraries, own=own)
    return {"dtype": dtype, **compiled, "device": engine.device.type, **made_by}
