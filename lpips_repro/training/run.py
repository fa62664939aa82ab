"""A training run, from settings to exported weights and its row in the tables (`make train`)."""

import contextlib
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from omegaconf import DictConfig
from torch import Tensor

from lpips_repro.backbones import BACKBONES, check_backbone, gaussian_state, torchvision_state
from lpips_repro.config import Precision, ScratchInit, TrainConfig, parse
from lpips_repro.config.checks import check_writable
from lpips_repro.config.outputs import check_case
from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.datasets.prepare import prepare
from lpips_repro.datasets.registry import dataset_of
from lpips_repro.distributed import Ranks, started_ranks
from lpips_repro.errors import UserError, check_choice
from lpips_repro.evaluation.methods.finished_runs import TrainedRun, digests_of
from lpips_repro.evaluation.methods.published import backbone_state
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.features.stored import features_bytes, stored_features
from lpips_repro.metrics.lpips import versions_of
from lpips_repro.progress import Progress
from lpips_repro.provenance import own_code
from lpips_repro.runs.checkpoint import load_latest
from lpips_repro.runs.device import choose_device
from lpips_repro.runs.folder import record_settings, reported_in
from lpips_repro.runs.run_name import run_settings
from lpips_repro.runs.signals import ended_by_sigterm, stop_on_signals
from lpips_repro.runs.step_mode import check_device
from lpips_repro.training.export import export_weights, is_finished, keep_orphans, write_summary
from lpips_repro.training.loop import Run, fit
from lpips_repro.training.model import RankingModel
from lpips_repro.training.run_name import LEFT_OUT, run_name
from lpips_repro.training.run_tables import write_run_tables
from lpips_repro.training.triplets import FeatureTriplets, ImageTriplets, keep_what_fits
from lpips_repro.weights.state_dicts import digest_state

log = logging.getLogger(__name__)

TRAINED_VARIANTS = ("lin", "tune", "scratch")


def train(composed: DictConfig) -> None:
    """Run or resume the training of the composed settings (`configs/train.yaml`).

    Raises:
        UserError: if a setting, the dataset, the device or weights cannot be used.
        SystemExit: after SIGTERM, with status 143; KeyboardInterrupt after Ctrl-C. The state is saved.
    """
    with started_ranks() as ranks:
        with ranks.first_before_others():  # only the first reports wrong settings
            cfg = parse(composed, TrainConfig)
            (net,), (variant,) = cfg.net, cfg.variant
            check_choice("variant", variant, TRAINED_VARIANTS)
            check_backbone(cfg.net[net].backbone, f"net.{net}.backbone", cfg.net[net].module)
            _check_network(cfg, dataset_of(cfg.data).size)
            _check_used(cfg)
            device = ranks.device(choose_device(cfg.device))
            check_device(cfg.trainer.precision, cfg.trainer.compile, device, "trainer.")
            folder = Path(cfg.experiments) / run_name(composed)
            check_case(folder)
            check_writable("experiments", Path(cfg.experiments))
            weights = None
            if not (folder / "summary.json").is_file():  # checks what the run needs, before a dataset is downloaded
                weights = _initial_weights(cfg)
                if variant == "lin" and cfg.trainer.lin_features:
                    check_writable("features", Path(cfg.features))
        with reported_in(folder) if ranks.first else contextlib.nullcontext(), ended_by_sigterm():
            log.info("%s: training %s %s v%s", folder, net, variant, cfg.version)
            with ranks.first_before_others():
                train_splits, val_splits = _triplet_splits(cfg)
                _check_network(cfg, min(min(split.size) for split in train_splits + val_splits))
            _train(cfg, composed, folder, device, weights, train_splits, val_splits, ranks)


def _train(
    cfg: TrainConfig,
    composed: DictConfig,
    folder: Path,
    device: torch.device,
    weights: dict[str, Tensor] | None,
    train_splits: list[PackedSplit],
    val_splits: list[PackedSplit],
    ranks: Ranks,
) -> None:
    (net,), (variant,) = cfg.net, cfg.variant
    data, settings = digests_of(train_splits + val_splits), run_settings(composed, LEFT_OUT)
    spec = BACKBONES[cfg.net[net].backbone]
    if code := own_code(spec.layers, spec.preprocess):
        settings["code of the network"] = code
    if ranks.from_first(ranks.first and is_finished(folder, {**data, **settings})):
        return
    with ranks.first_before_others():
        if weights is None:  # results of a finished run are damaged
            weights = _initial_weights(cfg)
        identity = {**data, **settings, "initial weights": digest_state(weights)[:12], "device": device.type}
        scores = _begin(cfg, composed, folder, identity, train_splits + val_splits) if ranks.first else None

    torch.manual_seed(cfg.seed)
    model = RankingModel(
        cfg.net[net].backbone,
        variant,
        cfg.version,
        weights,
        activation=cfg.trainer.activation.value,
        dropout=cfg.trainer.dropout,
        released_clamp=cfg.trainer.released_clamp,
    ).to(device)
    scores = ranks.from_first(scores)
    if scores is None:
        train, val = _triplets(cfg, model, train_splits, val_splits, device, ranks)
        with stop_on_signals(ranks) as check_stop:
            run = Run(
                folder, identity, model, train, val, cfg.trainer, cfg.seed, device, check_stop, ranks, cfg.optimizer
            )
            scores = fit(run)
    if not ranks.first:
        return

    seconds = export_weights(folder, model, identity)
    percent = {name: round(100 * score, 4) for name, score in scores.items()}
    done = TrainedRun(folder, net, cfg.net[net].backbone, variant, cfg.version, cfg.seed, cfg.data.name, data)
    tables = write_run_tables(cfg, done, weights, device)
    write_summary(done, settings, percent, tables, seconds)
    log.info("%s: finished: mean val 2AFC %.2f %%", folder, percent["mean"])


def _check_network(cfg: TrainConfig, side: int | None) -> None:
    """Raise UserError if the network does not have this version, or does not accept images of this side (if known)."""
    ((name, net),) = cfg.net.items()
    check_choice("version", cfg.version, versions_of(net.backbone))
    smallest = BACKBONES[net.backbone].min_size
    if side is not None and smallest > side:
        raise UserError(
            f"net={name}: the patches have sides of {side} pixels, and the network needs at least {smallest}: choose"
            " another network"
        )


def _begin(
    cfg: TrainConfig, composed: DictConfig, folder: Path, identity: dict[str, Any], splits: list[PackedSplit]
) -> dict[str, float] | None:
    """Check run and data before long work; return the scores if no step is left, else None."""
    saved = load_latest(folder, identity)
    if saved is None:
        keep_orphans(folder)
    for split in Progress(splits, "checking digests", unit="split", leave=False):
        split.verify()
    record_settings(folder, composed, LEFT_OUT)
    validations = cfg.trainer.epochs + cfg.trainer.decay_epochs + 1
    return saved["scores"] if saved is not None and saved["validations"] == validations else None


def _check_used(cfg: TrainConfig) -> None:
    """Raise UserError for settings that the run would not use."""
    if "lin" in cfg.variant and cfg.trainer.lin_features:
        for key, default in (("precision", Precision.float32), ("compile", False)):
            value = getattr(cfg.trainer, key)
            if value != default:
                text = value.value if isinstance(value, Precision) else str(value).lower()
                raise UserError(
                    f"trainer.{key}={text}: a step on stored lin features runs no backbone: leave it out, or set"
                    " trainer.lin_features=false"
                )


def _triplet_splits(cfg: TrainConfig) -> list[list[PackedSplit]]:
    """The splits of the train and the val phase."""
    prepared = cast(Sequence[PackedSplit], prepare(cfg.data, "train", "val"))
    splits = [split for split in prepared if split.card["kind"] == TWOAFC.kind]
    by_phase = [[split for split in splits if split.card["phase"] == phase] for phase in ("train", "val")]
    if not all(by_phase):
        raise UserError(f"data={cfg.data.name}: training needs splits of 2afc/train and 2afc/val: use another dataset")
    if len(sizes := {split.size for split in by_phase[0]}) > 1:
        found = ", ".join("{}x{}".format(*size) for size in sorted(sizes))
        raise UserError(f"data={cfg.data.name}: 2afc/train has images of {found} pixels: training needs one size")
    return by_phase


def _initial_weights(cfg: TrainConfig) -> dict[str, Tensor]:
    (net,) = cfg.net.values()
    if "scratch" not in cfg.variant:
        return backbone_state(net, (net.seeds or [cfg.seed])[0], cfg.download)
    begin = gaussian_state if cfg.trainer.scratch_init is ScratchInit.gaussian else torchvision_state
    return begin(net.backbone, cfg.seed)


def _triplets(
    cfg: TrainConfig,
    model: RankingModel,
    train_splits: list[PackedSplit],
    val_splits: list[PackedSplit],
    device: torch.device,
    ranks: Ranks,
) -> tuple[ImageTriplets, dict[str, ImageTriplets]]:
    """The triplets of training and of each validation split: stored features if the backbone is frozen, else images."""
    if "lin" in cfg.variant and cfg.trainer.lin_features:
        with ranks.first_before_others():  # the others use the stored features
            train, val = _on_features(cfg, model, train_splits, val_splits, device)
    else:
        train = ImageTriplets(train_splits, device)
        val = {split.card["split"]: ImageTriplets([split], device) for split in val_splits}
    keep_what_fits(device, {"training": [train], "validation": val.values()})
    return train, val


def _on_features(
    cfg: TrainConfig,
    model: RankingModel,
    train_splits: list[PackedSplit],
    val_splits: list[PackedSplit],
    device: torch.device,
) -> tuple[ImageTriplets, dict[str, ImageTriplets]]:
    dtype, root = cfg.trainer.lin_features_dtype.value, Path(cfg.features)
    model.clamp_backbone()  # the released clamp changes the frozen backbone, so that features are computed after it
    backbone = model.metric.backbone.name
    needed = sum(features_bytes(backbone, len(split), dtype, noise=True) for split in train_splits)
    needed += sum(features_bytes(backbone, len(split), dtype, noise=False) for split in val_splits)
    root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(root).free
    log.info("lin features: %.2f GB (%s) in %s, with %.2f GB free", needed / 1e9, dtype, root, free / 1e9)
    features = [stored_features(model.metric, split, root, dtype, device, noise=True) for split in train_splits]
    val: dict[str, ImageTriplets] = {}
    for split in val_splits:
        stored = stored_features(model.metric, split, root, dtype, device, noise=False)
        val[split.card["split"]] = FeatureTriplets([split], device, [stored])
    return FeatureTriplets(train_splits, device, features), val
