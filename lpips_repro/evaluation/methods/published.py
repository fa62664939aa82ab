"""The rows of the tables: every metric, network, variant and version that the settings name."""

import contextlib
import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lpips_repro.backbones import Backbone, check_backbone, gaussian_state
from lpips_repro.backbones.registry import NotInstalledError
from lpips_repro.config import EvaluateConfig, Init, MetricConfig, NetConfig
from lpips_repro.errors import UserError, check_choice
from lpips_repro.evaluation.distances.compute import Distance, Engine, of_pairs
from lpips_repro.evaluation.distances.precomputed import PrecomputedDistances
from lpips_repro.evaluation.methods.method import Method, in_order, paper_row
from lpips_repro.features.stored import means_of_training
from lpips_repro.metrics import METRICS
from lpips_repro.metrics.lpips import LPIPS, VARIANTS, VERSIONS
from lpips_repro.metrics.lpips.channels import weighted_sum
from lpips_repro.provenance import LIBRARIES, PACKAGE, file_of, provenance
from lpips_repro.provenance import METRICS as METRICS_CODE
from lpips_repro.weights.imagenet import imagenet_state
from lpips_repro.weights.official_lin import official_lin_state
from lpips_repro.weights.recipe import read_recipe
from lpips_repro.weights.state_dicts import digest_state, read_weights

# Pixels a side: those of a patch; and for metrics that need more, so that it is the size that they refuse there.
TRIAL_SIZES = (64, 512)


def list_methods(cfg: EvaluateConfig) -> list[Method]:
    """Every published method that the settings name, in the order of the tables.

    Raises:
        UserError: for a function, backbone, variant or version that does not exist, with those that do.
    """
    methods = [
        _classic(name, metric, metric.function) if metric.function else _other_program(name, metric)
        for name, metric in cfg.metric.items()
    ]
    for name, net in cfg.net.items():
        with contextlib.suppress(NotInstalledError):  # its row says so
            check_backbone(net.backbone, f"net.{name}.backbone", net.module)
    for variant, settings in cfg.variant.items():
        check_choice("variant", variant, VARIANTS)
        if variant in ("tune", "scratch"):
            continue  # nobody published weights of these: see `lpips_repro.evaluation.methods.trained`
        for name, net in cfg.net.items():
            if variant == "lin" and not net.official_lin:
                continue
            for version in net.versions or settings.versions:
                check_choice(f"variant.{variant}.versions", version, VERSIONS)
                for seed in net.seeds or [cfg.seed]:
                    methods.append(_network(name, net, variant, version, seed, cfg.download))
    return in_order(methods)


def _other_program(name: str, metric: MetricConfig) -> Method:
    """Distances that another program computed: see `lpips_repro.evaluation.distances.precomputed`."""

    def build(engine: Engine) -> PrecomputedDistances:
        if not metric.distances:
            raise UserError(metric.remedy)
        return PrecomputedDistances(Path(metric.distances))

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
        return Distance(of_pairs(metric_of, to_distance, copied=not is_ours), identity)

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
            except (Exception, SystemExit):  # not of the settings: the row will have it as its reason
                return None
            else:
                return None
    return refused


def _network(name: str, net: NetConfig, variant: str, version: str, seed: int, download: bool) -> Method:
    def build(engine: Engine) -> Distance:
        state = backbone_state(net, seed, download)
        lin = official_lin_state(net.backbone, version, download) if variant == "lin" else None
        metric = LPIPS(net.backbone, variant, version, weights=state, lin_weights=lin)
        init = f"gaussian(seed={seed})" if net.init is Init.gaussian else net.init.value
        return lpips_distance(metric, engine, init=init)

    group = "lpips" if variant == "lin" else net.supervision
    # The published tables name a variant only where there are several of a network.
    paper_variant = {"lpips": "lin", "supervised": "off-the-shelf"}.get(group, "")
    recipe = read_recipe(Path(net.weights)) if net.weights else None
    paper = paper_row(net.paper, paper_variant)
    origin = recipe["made"] if recipe else ""
    several = len(net.seeds or ()) > 1
    of = seed if several or net.init is Init.gaussian else None
    method = Method(group, name, build, variant, version, net.supervision, paper, origin, of)
    return dataclasses.replace(method, seeds_of=method.label) if several else method


def lpips_distance(metric: LPIPS, engine: Engine, **origin: Any) -> Distance:
    """An LPIPS metric ready to run on an engine; origin: what else is part of its identity."""
    backbone = metric.backbone
    identity = {
        **origin,
        "backbone": backbone.name,
        "weights": digest_state(backbone.state_dict()),
        "lin": digest_state(dict(metric.lin.named_parameters())) if len(metric.lin) else None,
        "variant": metric.variant,
        "version": metric.version,
        **circumstances(
            engine,
            own=(backbone.spec.layers, backbone.spec.preprocess),
            libraries=(*LIBRARIES, *["timm"] * backbone.name.startswith("timm/")),
        ),
    }
    key = (backbone.name, identity["weights"], metric.version)
    if key not in engine.passes:
        metric.to(engine.device).validate = False  # images come from bytes
        evaluator = metric.optimized(engine.dtype, compiled=engine.compiled)
        engine.passes[key] = functools.partial(evaluator.channel_means, normalize=True)
    head = metric.head.to(engine.device)
    stored = None
    if engine.features is not None and engine.dtype is torch.float32:
        stored = functools.partial(means_of_training, engine.features, *key, engine.device)
    return Distance(engine.passes[key], identity, lambda means: weighted_sum(means, head), stored)


def backbone_state(net: NetConfig, seed: int, download: bool) -> dict[str, Tensor]:
    """The parameters that a network begins with, feature maps alone; UserError if they are not available."""
    if net.init is Init.file:
        if not (net.weights and Path(net.weights).is_file()):
            missing = f"{net.weights}: no such file" if net.weights else "no weights available"
            raise UserError(f"{missing}: {net.remedy or 'set weights=FILE of this network'}")
        return Backbone(net.backbone, read_weights(Path(net.weights), net.backbone)).state_dict()
    found = _state_or_error(net.backbone, net.init, seed, download)
    if isinstance(found, UserError):
        raise found
    return found


@functools.cache
def _state_or_error(backbone: str, init: Init, seed: int, download: bool) -> dict[str, Tensor] | UserError:
    """Parameters of the feature maps alone, looked up (or missed) once for all variants and versions of a network."""
    try:
        state = gaussian_state(backbone, seed) if init is Init.gaussian else imagenet_state(backbone, download=download)
        return Backbone(backbone, state).state_dict()
    except UserError as error:
        return error


def missing_weights(cfg: EvaluateConfig) -> dict[str, str]:
    """Why networks that the settings name have no published weights, by their names; downloads what may be."""
    missing: dict[str, str] = {}
    for name, net in cfg.net.items():
        try:
            if {"off_the_shelf", "lin"} & cfg.variant.keys():
                backbone_state(net, (net.seeds or [cfg.seed])[0], cfg.download)
            if "lin" in cfg.variant and net.official_lin:
                for version in net.versions or cfg.variant["lin"].versions:
                    official_lin_state(net.backbone, version, cfg.download)
        except UserError as error:
            missing[name] = str(error)
    return missing


def circumstances(
    engine: Engine, own: Iterable[Callable[..., Any] | None] = (), libraries: tuple[str, ...] = LIBRARIES
) -> dict[str, Any]:
    """What else the values depend on: dtype, device, whether compiled, code and libraries; arguments as below."""
    dtype = str(engine.dtype).removeprefix("torch.")
    compiled = {"compiled": True} if engine.compiled else {}
    made_by = provenance(*METRICS_CODE, libraries=libraries, own=own)
    return {"dtype": dtype, **compiled, "device": engine.device.type, **made_by}
