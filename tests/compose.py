"""Settings that are composed as in the scripts."""

import importlib
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

import lpips_repro.datasets  # noqa: F401 (registers what settings can choose)
from lpips_repro.config.library_metrics import register_library_metrics
from lpips_repro.config.timm_nets import register_timm_nets

CONFIGS = Path(__file__).parents[1] / "configs"


def settings(config: str, *overrides: str) -> DictConfig:
    """The composed settings of a script."""
    if config == "pretrain":  # imported here, since tasks import torch, which processes that pack images do not need
        importlib.import_module("lpips_repro.pretraining.tasks")
    register_timm_nets(overrides)
    register_library_metrics(overrides)
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose(config, overrides=list(overrides))
