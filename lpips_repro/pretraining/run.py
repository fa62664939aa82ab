"""A pretraining run, from settings to the exported network (`make pretrain`)."""

import contextlib
import dataclasses
import logging
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from lpips_repro.config import PretrainConfig, TaskConfig, parse
from lpips_repro.config.checks import check_writable
from lpips_repro.distributed import Ranks, started_ranks
from lpips_repro.errors import UserError
from lpips_repro.files import keep_damaged
from lpips_repro.photographs.crops import crops_of_each, split_photographs
from lpips_repro.photographs.stored_crops import stored_crops
from lpips_repro.pretraining.loop import Pretraining, fit, score
from lpips_repro.pretraining.run_name import LEFT_OUT, run_name
from lpips_repro.pretraining.tasks import TASKS, PretextTask, Score
from lpips_repro.provenance import own_code
from lpips_repro.quoting import literal
from lpips_repro.runs.checkpoint import check_identity, load_latest, save_whole
from lpips_repro.runs.device import choose_device
from lpips_repro.runs.folder import record_settings, reported_in
from lpips_repro.runs.run_name import run_settings
from lpips_repro.runs.signals import ended_by_sigterm, stop_on_signals
from lpips_repro.runs.step_mode import check_device
from lpips_repro.versions import OWN, installed_version, package_version
from lpips_repro.weights.recipe import read_recipe, recipe_file, write_recipe
from lpips_repro.weights.state_dicts import digest_state, read_state

log = logging.getLogger(__name__)


def pretrain(composed: DictConfig) -> None:
    """Run or resume the pretraining of the composed settings (`configs/pretrain.yaml`).

    Raises:
        UserError: if a setting, photograph or device cannot be used.
        SystemExit: after SIGTERM, with status 143; KeyboardInterrupt after Ctrl-C. The state is saved.
    """
    with started_ranks() as ranks:
        with ranks.first_before_others():  # only the first reports wrong settings
            cfg = _checked(composed, ranks)
            device = ranks.device(choose_device(cfg.device))
            check_device(cfg.precision, cfg.compile, device)
        folder = Path(cfg.experiments) / run_name(composed)
        with reported_in(folder) if ranks.first else contextlib.nullcontext(), ended_by_sigterm():
            log.info("%s: learning %s from %s", folder, cfg.task.name, cfg.images or "the photographs of mini")
            _pretrain(cfg, composed, folder, device, ranks)


def _checked(composed: DictConfig, ranks: Ranks) -> PretrainConfig:
    """The settings, checked before photographs are read."""
    cfg = parse(composed, PretrainConfig)
    if cfg.images is not None:  # the same run for any spelling of the folder
        cfg.images = str(Path(cfg.images).resolve())
        composed.images = literal(cfg.images)
    if cfg.task.batch_size < ranks.world:
        raise UserError(
            f"task.batch_size={cfg.task.batch_size}: torchrun started {ranks.world} processes, and each needs an"
            " example: set a larger batch, or start fewer processes (--nproc-per-node)"
        )
    photographs = split_photographs(_images(cfg))["train"]
    _check_count(cfg, len(photographs) * crops_of_each("train", photographs))
    check_writable("experiments", Path(cfg.experiments) / "weights")
    check_writable("store", Path(cfg.store))
    return cfg


def _images(cfg: PretrainConfig) -> Path | None:
    return None if cfg.images is None else Path(cfg.images)


def _pretrain(cfg: PretrainConfig, composed: DictConfig, folder: Path, device: torch.device, ranks: Ranks) -> None:
    images = _images(cfg)
    with ranks.first_before_others():  # the others read the stored crops
        crops = stored_crops(images, cfg.task.size, Path(cfg.store), cfg.workers)
        _check_count(cfg, len(crops.train))  # fewer, if photographs cannot be used
    photographs = split_photographs(images, crops.left_out)["train"]
    identity = {"photographs": crops.digest[:12], "device": device.type, **run_settings(composed, LEFT_OUT)}
    if code := own_code(TASKS[cfg.task.name]):
        identity["code of the task"] = code
    recipe = ranks.from_first(_begin(composed, folder) if ranks.first else None)
    if recipe is None:
        task = make_task(cfg.task, cfg.seed)
        ranks.copy_from_first(task)  # a user's task may draw weights with generators that have no seed
        task = task.to(device).to(memory_format=torch.channels_last)
        with stop_on_signals(ranks) as check_stop:
            run = Pretraining(folder, identity, task, crops, cfg, device, check_stop, photographs, ranks)
            held_out = fit(run)
        found = {"held_out": held_out, "train": score(run, crops.train)}
        recipe = _write_weights(run, found) if ranks.first else {}
    if ranks.first:
        check_identity(folder, recipe["identity"], identity)
        _export(cfg, folder, recipe)


def _begin(composed: DictConfig, folder: Path) -> dict[str, Any] | None:
    """The recipe of a finished run; for others the settings are recorded, and damaged weights are set aside."""
    recipe = read_recipe(folder / "weights.pth")
    if recipe is None:
        _keep_if_damaged(folder / "weights.pth")
        record_settings(folder, composed, LEFT_OUT)
    return recipe


def _check_count(cfg: PretrainConfig, crops: int) -> None:
    """UserError if the crops fill no batch."""
    if crops < cfg.task.batch_size:
        raise UserError(f"task.batch_size={cfg.task.batch_size}: there are only {crops} crops")


def _keep_if_damaged(weights: Path) -> None:
    """Set aside weights and a recipe that do not match: one of them is damaged."""
    recipe = recipe_file(weights)
    if recipe.is_file():
        keep_damaged(weights, recipe, said=f"{weights}: it or its recipe is damaged", then="written again")


def make_task(cfg: TaskConfig, seed: int) -> PretextTask:
    """The task of the settings, with its initial weights."""
    torch.manual_seed(seed)
    loop = {field.name for field in dataclasses.fields(TaskConfig)} - {"side"}
    own = {key: value for key, value in dataclasses.asdict(cfg).items() if key not in loop}
    return TASKS[cfg.name](seed=seed, **own)


def _write_weights(run: Pretraining, scores: dict[str, dict[str, Score]]) -> dict[str, Any]:
    """Write the learned network to the run's folder, and return its recipe; scores: by part of the photographs."""
    cfg, task, crops = run.cfg, run.task, run.crops
    seconds = (load_latest(run.folder, run.identity, ("last.pt",)) or {}).get("seconds")
    state = {key: value.cpu().contiguous() for key, value in task.backbone.state_dict().items()}
    save_whole(run.folder / "weights.pth", state)
    recipe = {
        "task": cfg.task.name,
        "backbone": task.backbone.name,
        "seed": cfg.seed,
        "photographs": {"folder": cfg.images or "those of mini", "sha256": crops.digest},
        "crops": {"train": len(crops.train), "held_out": len(crops.held_out)},
        **{part: {name: found._asdict() for name, found in of.items()} for part, of in scores.items()},
        "seconds": None if seconds is None else round(seconds, 1),
        "settings": dataclasses.asdict(cfg.task),
        "versions": {OWN: package_version(OWN)} | {name: installed_version(name) for name in ("torch", "pillow")},
        "identity": run.identity,
    }
    made = f"trained here: {cfg.task.steps} steps on {len(crops.train)} crops"
    return write_recipe(run.folder / "weights.pth", made, recipe)


def _is_of(recipe: dict[str, Any], weights: Path) -> bool:
    """Whether weights are those of a recipe. A process that was killed may have written them without it."""
    try:
        return digest_state(read_state(weights)) == recipe["weights"]
    except UserError:  # another kind of file
        return False


def _export(cfg: PretrainConfig, folder: Path, recipe: dict[str, Any]) -> None:
    """Write the network and its recipe to the file that the tables read."""
    for name, pair in recipe["held_out"].items():
        said = f"{name}: {pair['value']:.4f} on held-out photographs (chance {pair['chance']:.4f})"
        log.info("%s; %.4f on training photographs", said, recipe["train"][name]["value"])
    # CaffeNet's name in tables is alex.
    net = "alex" if recipe["backbone"].startswith("caffenet") else recipe["backbone"].replace("/", "-")
    file = Path(cfg.experiments) / "weights" / f"{net}-{cfg.task.name}.pth"
    known = read_recipe(file)
    if known is None and file.is_file() and not _is_of(recipe, file):
        log.warning("%s: not made here, and not replaced: the network is in %s", file, folder / "weights.pth")
        return
    if known is not None and known.get("run") != folder.name:
        log.warning("%s: that of %s (%s) is replaced: its command restores it", file, known.get("run"), known["made"])
    save_whole(file, torch.load(folder / "weights.pth", weights_only=True))
    write_recipe(file, recipe["made"], {"run": folder.name, **recipe})
    log.info("%s: finished: %s, with its recipe %s", folder, file, recipe_file(file))
