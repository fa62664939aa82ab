"""Small autoencoders, and runs that train them on a few small pictures."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lpips_repro.backbones import Backbone, gaussian_state
from lpips_repro.cnn_distortions.config import AutoencoderConfig
from lpips_repro.cnn_distortions.learning import Learner
from lpips_repro.cnn_distortions.losses import PerceptualLoss
from lpips_repro.cnn_distortions.networks import Generator
from lpips_repro.cnn_distortions.run import train_autoencoder
from lpips_repro.cnn_distortions.stored_autoencoders import write_autoencoder
from tests.compose import settings
from tests.photographs.written import write_photographs

CPU = torch.device("cpu")
CONFIG = AutoencoderConfig(
    corruption="white_noise",
    amount=0.1,
    layers=2,
    kernel=3,
    first_stride=1,
    first_channels=4,
    most_channels=8,
    skips=(True, False),
    forced_skip=True,
    dropout=(False, True),
    upsampling="nearest",
    normalization="batch",
    activation="relu",
    discriminator_layers=2,
    l1=1.0,
    perceptual=1.0,
    adversarial=0.1,
    perceptual_net="squeeze",
    learning_rate=1e-3,
)


def tiny_config(**changed: Any) -> AutoencoderConfig:
    """The config above with other values. By default, skips and dropout fit the number of layers."""
    layers = changed.get("layers", CONFIG.layers)
    fitting = {"skips": (True, False, True, True)[:layers], "dropout": (False, True, False, False)[:layers]}
    return dataclasses.replace(CONFIG, **(fitting | changed))


@functools.cache
def squeeze_loss() -> PerceptualLoss:
    """A perceptual loss with a network that has Gaussian weights."""
    return PerceptualLoss(Backbone("squeeze", gaussian_state("squeeze", 0)))


def tiny_learner(config: AutoencoderConfig = CONFIG, seed: int = 0) -> Learner:
    """A learner on the CPU."""
    return Learner(config, seed, squeeze_loss() if config.perceptual else None, CPU)


def smooth_crops(count: int, size: int) -> np.ndarray:
    """Smooth random pictures, uint8 (count, size, size, 3)."""
    coarse = np.random.default_rng(0).integers(0, 256, (count, 3, 4, 4)).astype(np.float32)
    smooth = torch.nn.functional.interpolate(torch.from_numpy(coarse), (size, size), mode="bicubic")
    return smooth.clamp(0, 255).permute(0, 2, 3, 1).numpy().astype(np.uint8)


def write_tiny(folder: Path, config: AutoencoderConfig = CONFIG, left_out: str | None = None, seed: int = 0) -> dict:
    """Write an autoencoder with random weights; return its card."""
    torch.manual_seed(seed)
    state = None if left_out else Generator(config).state_dict()
    return write_autoencoder(folder, {"config": config.to_json(), "left_out": left_out, "identity": {}}, state)


def tiny_words(home: Path, *overrides: str) -> list[str]:
    """The settings of a run of five steps on pictures of 16 pixels, with all folders below `home`."""
    if not (home / "photographs").is_dir():
        write_photographs(home / "photographs", 11)
    places = (f"images={home}/photographs", f"store={home}/store", f"experiments={home}/experiments")
    few = ("count=3", "size=16", "batch_size=4", "perceptual=null", "device=cpu", "workers=1")
    return [*places, *few, *overrides]


def tiny_run(home: Path, *overrides: str) -> None:
    """Train one autoencoder with these settings."""
    train_autoencoder(settings("cnn_distortions", *tiny_words(home, *overrides)))
