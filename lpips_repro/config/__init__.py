"""The settings, as dataclasses that refuse what is misspelt or out of range.

Hydra composes the YAML files of `configs/`; `parse` turns the result into one of these, or raises UserError.
"""

from lpips_repro.config.data import BappsConfig, DatasetConfig, FolderConfig, MiniConfig, Observers, Resize, Splits
from lpips_repro.config.evaluate import (
    Device,
    EvaluateConfig,
    Init,
    MetricConfig,
    NetConfig,
    SparsityConfig,
    VariantConfig,
    WeightsConfig,
)
from lpips_repro.config.parse import explain, parse
from lpips_repro.config.train import Activation, FeaturesDtype, Schedule, ScratchInit, TrainConfig, TrainerConfig

__all__ = [
    "Activation",
    "BappsConfig",
    "DatasetConfig",
    "Device",
    "EvaluateConfig",
    "FeaturesDtype",
    "FolderConfig",
    "Init",
    "MetricConfig",
    "MiniConfig",
    "NetConfig",
    "Observers",
    "Resize",
    "Schedule",
    "ScratchInit",
    "SparsityConfig",
    "Splits",
    "TrainConfig",
    "TrainerConfig",
    "VariantConfig",
    "WeightsConfig",
    "explain",
    "parse",
]
