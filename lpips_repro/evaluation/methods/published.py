"""The methods of the settings: metrics, and networks with published weights in all variants and versions."""

import contextlib
import dataclasses
import functools
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lpips_repro.backbones import Backbone, check_backbone, gaussian_state
from lpips_repro.backbones.registry import NotInstalledError
from lpips_repro.config import EvaluateConfig, Init, NetConfig
from lpips_repro.errors import UserError, check_choice
from lpips_repro.evaluation.distances.compute import Distance, Engine
from lpips_repro.evaluation.methods.method import Method, in_order, paper_row
from lpips_repro.evaluation.methods.metrics import circumstances, metric_method
from lpips_repro.features.stored import means_of_training
from lpips_repro.metrics.lpips import LPIPS, VARIANTS, VERSIONS
from lpips_repro.metrics.lpips.channels import weighted_sum
from lpips_repro.provenance import LIBRARIES
from lpips_repro.weights.imagenet import imagenet_state
from lpips_repro.weights.official_lin import official_lin_state
from lpips_repro.weights.recipe import read_recipe
from lpips_repro.weights.state_dicts import digest_state, read_weights


def list_methods(cfg: EvaluateConfig) -> list[Method]:
    """The published methods of the settings, in the order of the tables.

    Raises:
        UserError: if a function, backbone, variant or version does not exist. The message lists known ones.
    """
    methods = [metric_method(name, metric, cfg.download) for name, metric in cfg.metric.items()]
    for name, net in cfg.net.items():
        with contextlib.suppress(NotInstalledError):  # its row shows the error
            check_backbone(net.backbone, f"net.{name}.backbone", net.module)
    for variant, settings in cfg.variant.items():
        check_choice("variant", variant, VARIANTS)
        if variant in ("tune", "scratch"):
            continue  # no weights are published: see `lpips_repro.evaluation.methods.trained`
        for name, net in cfg.net.items():
            if variant == "lin" and not net.official_lin:
                continue
            for version in net.versions or settings.versions:
                check_choice(f"variant.{variant}.versions", version, VERSIONS)
                for seed in net.seeds or [cfg.seed]:
                    methods.append(_network(name, net, variant, version, seed, cfg.download))
    return in_order(methods)


def _network(name: str, net: NetConfig, variant: str, version: str, seed: int, download: bool) -> Method:
    def build(engine: Engine) -> Distance:
        state = backbone_state(net, seed, download)
        lin = official_lin_state(net.backbone, version, download) if variant == "lin" else None
        metric = LPIPS(net.backbone, variant, version, weights=state, lin_weights=lin)
        init = f"gaussian(seed={seed})" if net.init is Init.gaussian else net.init.value
        return lpips_distance(metric, engine, init=init)

    group = "lpips" if variant == "lin" else net.supervision
    # The published tables name the variant only of networks with several variants.
    paper_variant = {"lpips": "lin", "supervised": "off-the-shelf"}.get(group, "")
    recipe = read_recipe(Path(net.weights)) if net.weights else None
    paper = paper_row(net.paper, paper_variant)
    origin = recipe["made"] if recipe else ""
    several = len(net.seeds or ()) > 1
    of = seed if several or net.init is Init.gaussian else None
    method = Method(group, name, build, variant, version, net.supervision, paper, origin, of)
    return dataclasses.replace(method, seeds_of=method.label) if several else method


def lpips_distance(metric: LPIPS, engine: Engine, **origin: Any) -> Distance:
    """An LPIPS metric as a `Distance` for an engine; origin: further entries of its identity."""
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
        engine.passes[key] = (functools.partial(evaluator.channel_means, normalize=True), metric)
    measure, shared = engine.passes[key]
    head = metric.head.to(engine.device)
    stored = None
    if engine.features is not None and engine.dtype is torch.float32:
        stored = functools.partial(means_of_training, engine.features, *key, engine.device)
    return Distance(measure, identity, lambda means: weighted_sum(means, head), stored, (shared, head))


def backbone_state(net: NetConfig, seed: int, download: bool) -> dict[str, Tensor]:
    """The initial parameters of a network up to its last feature map; UserError if they are not available."""
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
    """Parameters up to the last feature map, or the error, looked up once for all variants and versions."""
    try:
        state = gaussian_state(backbone, seed) if init is Init.gaussian else imagenet_state(backbone, download=download)
        return Backbone(backbone, state).state_dict()
    except UserError as error:
        return error


def missing_weights(cfg: EvaluateConfig) -> dict[str, str]:
    """The reasons why networks of the settings have no weights, by name. It downloads weights if allowed."""
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
