"""Train one autoencoder and write its folder. `make cnn-distortions` runs this for all of them, as a sweep."""

import functools
import logging
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig

from lpips_repro.backbones.registry import BACKBONES, check_backbone
from lpips_repro.cnn_distortions.config import AutoencoderConfig
from lpips_repro.cnn_distortions.learning import Learner, examples, learn
from lpips_repro.cnn_distortions.losses import PerceptualLoss, perceptual_loss
from lpips_repro.cnn_distortions.space import draw_config
from lpips_repro.cnn_distortions.stored_autoencoders import (
    CARD,
    WEIGHTS,
    DamagedAutoencoder,
    read_card,
    read_generator,
    write_autoencoder,
)
from lpips_repro.cnn_distortions.useless_outputs import fault_of
from lpips_repro.config import CnnDistortionsConfig, parse
from lpips_repro.config.checks import check_writable
from lpips_repro.devices import send
from lpips_repro.errors import UserError
from lpips_repro.files import keep_damaged
from lpips_repro.files.locks import exclusive
from lpips_repro.photographs.crops import Crops
from lpips_repro.photographs.stored_crops import stored_crops
from lpips_repro.quoting import literal
from lpips_repro.runs.checkpoint import check_identity
from lpips_repro.runs.device import choose_device
from lpips_repro.runs.example_order import mixed_seed
from lpips_repro.runs.run_name import default_settings, run_settings, with_hash
from lpips_repro.runs.signals import ended_by_sigterm
from lpips_repro.runs.step_mode import check_device
from lpips_repro.versions import OWN, installed_version, package_version

log = logging.getLogger(__name__)

# Settings that are not in the hash of a run: they do not change an autoencoder, or are in the folder's name itself.
LEFT_OUT = {"seed", "count", "number", "device", "experiments", "store", "workers", "download"}
JUDGED, AT_ONCE = 64, 16  # the most held-out crops that an autoencoder is judged by; how many are computed at once
HELD_OUT = 2**32  # the number that replaces the step in the seed of their noise
VERSIONS = ("torch", "numpy", "pillow")


def read_settings(composed: DictConfig) -> tuple[CnnDistortionsConfig, Path]:
    """The settings, and the folder of all their autoencoders; raises UserError if a setting is refused."""
    cfg = parse(composed, CnnDistortionsConfig)
    if cfg.images is not None:  # absolute, so that all ways to write a folder give one run
        cfg.images = str(Path(cfg.images).resolve())
        composed.images = literal(cfg.images)
    if cfg.perceptual is not None:
        check_backbone(cfg.perceptual, "perceptual")
        least = BACKBONES[cfg.perceptual].min_size
        if cfg.size < least:
            raise UserError(f"size={cfg.size}: perceptual={cfg.perceptual} needs images of at least {least} pixels")
    settings, defaults = run_settings(composed, LEFT_OUT), default_settings("cnn_distortions")
    return cfg, Path(cfg.experiments) / with_hash(f"cnn-distortions-seed{cfg.seed}", settings, defaults)


def train_autoencoder(composed: DictConfig) -> None:
    """Train autoencoder `number` of the composed settings (`configs/cnn_distortions.yaml`), unless it is finished.

    Raises:
        UserError: if a setting, photograph or device cannot be used, or if the folder has another autoencoder.
        SystemExit: after SIGTERM, with status 143.
        KeyboardInterrupt: after Ctrl-C. In both cases, the same command trains this autoencoder from the beginning.
    """
    cfg, folder = read_settings(composed)
    if cfg.number is None:
        raise UserError("number=null: expected an integer: number=0 trains the first one, --multirun all of them")
    check_writable("experiments", folder)
    check_writable("store", Path(cfg.store))
    device = choose_device(cfg.device)
    check_device(cfg.precision, False, device)
    crops = crops_of(cfg)
    if len(crops.train) < cfg.batch_size:
        raise UserError(f"batch_size={cfg.batch_size}: there are only {len(crops.train)} crops")
    config = draw_config(cfg.seed, cfg.number, cfg.perceptual)
    identity = {"photographs": crops.digest[:12], "device": device.type, **run_settings(composed, LEFT_OUT)}
    identity |= {f"config.{name}": value for name, value in config.to_json().items()}
    place = folder / f"{cfg.number:03d}"
    with exclusive(place), ended_by_sigterm():
        card, state = _known(place, identity), "finished already"
        if card is None:
            card, state = _train(cfg, place, config, crops, device, identity), "finished"
        log.info("%s: %s: %s", place, state, _said(card))


def _said(card: dict[str, Any]) -> str:
    """The result of an autoencoder, for the log."""
    if card["left_out"] is not None:
        return f"left out: {card['left_out']}"
    after, before = (card["held_out"][name] for name in ("l1", "l1_before"))
    return f"mean absolute error {after:.4f} on held-out photographs, {before:.4f} before training"


@functools.lru_cache(maxsize=1)
def _stored_crops(images: str | None, size: int, store: str, workers: int | None) -> Crops:
    return stored_crops(None if images is None else Path(images), size, Path(store), workers)


def crops_of(cfg: CnnDistortionsConfig) -> Crops:
    """The crops of all photographs. A process that trains several autoencoders opens them once."""
    return _stored_crops(cfg.images, cfg.size, cfg.store, cfg.workers)


@functools.lru_cache(maxsize=1)
def _perceptual(net: str, download: bool, device: torch.device) -> PerceptualLoss:
    return perceptual_loss(net, download=download).to(device).to(memory_format=torch.channels_last)


def _known(place: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    """The card of a finished autoencoder, or None. Damaged files are set aside."""
    try:
        card = read_card(place)
        if card is not None and card["left_out"] is None:
            read_generator(place, card)
    except DamagedAutoencoder as error:
        keep_damaged(place / WEIGHTS, place / CARD, said=str(error), then="trained again")
        return None
    if card is not None:
        check_identity(place, card["identity"], identity)
    return card


def _train(
    cfg: CnnDistortionsConfig,
    place: Path,
    config: AutoencoderConfig,
    crops: Crops,
    device: torch.device,
    identity: dict[str, Any],
) -> dict[str, Any]:
    """Train, judge and write an autoencoder; return its card."""
    assert cfg.number is not None
    seeds, begun = (cfg.seed, cfg.number), time.monotonic()
    perceptual = _perceptual(cfg.perceptual, cfg.download, device) if cfg.perceptual and config.perceptual else None
    learner = Learner(config, mixed_seed(*seeds), perceptual, device, cfg.precision)
    before, _ = _held_out(learner, crops.held_out, seeds)
    finite = learn(learner, crops.train, cfg.batch_size, seeds, place.name)
    after, fault = _held_out(learner, crops.held_out, seeds) if finite else (None, "a loss was not finite")
    state = {key: value.cpu().contiguous() for key, value in learner.generator.state_dict().items()}
    card = {
        "name": place.name,
        "left_out": fault,
        "config": config.to_json(),
        "seed": cfg.seed,
        "number": cfg.number,
        "photographs": {"folder": cfg.images or "those of mini", "sha256": crops.digest},
        "crops": {"train": len(crops.train), "held_out": len(crops.held_out), "size": cfg.size},
        "steps": len(crops.train) // cfg.batch_size,
        "held_out": {"l1_before": before, "l1": after},
        "seconds": round(time.monotonic() - begun, 1),
        "versions": {OWN: package_version(OWN)} | {name: installed_version(name) for name in VERSIONS},
        "identity": identity,
    }
    return write_autoencoder(place, card, None if fault else state)


@torch.inference_mode()
def _held_out(learner: Learner, crops: np.ndarray, seeds: tuple[int, int]) -> tuple[float | None, str | None]:
    """The mean absolute error on held-out crops (None: not finite), and the generator's fault (None: no fault)."""
    chosen = np.linspace(0, len(crops) - 1, min(JUDGED, len(crops))).astype(int)
    pairs = examples(learner.config, crops, chosen, (*seeds, HELD_OUT))
    given, wanted = (send(images, learner.device) for images in pairs)
    learner.generator.eval()
    made = torch.cat([learner.generator(some) for some in given.split(AT_ONCE)])
    learner.generator.train()
    error = (made - wanted).abs().mean().item()
    return error if math.isfinite(error) else None, fault_of(made, given, wanted)
