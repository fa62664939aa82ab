"""The settings, as dataclasses that refuse what is misspelt or out of range.

Hydra composes the YAML files of `configs/`; `parse` turns the result into one of these, or raises UserError.
"""

from lpips_repro.config.bench import BenchConfig, Measure
from lpips_repro.config.cnn_distortions import CnnDistortionsConfig
from lpips_repro.config.data import DatasetConfig, DataSettings, Observers, Resize, Splits
from lpips_repro.config.evaluate import (
    SUPERVISIONS,
    CompareConfig,
    CorrelationConfig,
    DataOfRunConfig,
    Device,
    DisagreementsConfig,
    Dtype,
    EvaluateConfig,
    Init,
    MetricConfig,
    NetConfig,
    Paper,
    Show,
    SparsityConfig,
    VariantConfig,
    WeightsConfig,
)
from lpips_repro.config.kmeans import KmeansConfig
from lpips_repro.config.optimizer import Optimizer, OptimizerConfig, Precision, Schedule
from lpips_repro.config.paper import PaperConfig
from lpips_repro.config.parse import explain, parse
from lpips_repro.config.pretrain import PretrainConfig, TaskConfig
from lpips_repro.config.report import Images, PageConfig, ReportConfig
from lpips_repro.config.train import (
    Activation,
    FeaturesDtype,
    ScratchInit,
    TrainConfig,
    TrainerConfig,
)

__all__ = [
    "SUPERVISIONS",
    "Activation",
    "BenchConfig",
    "CnnDistortionsConfig",
    "CompareConfig",
    "CorrelationConfig",
    "DataOfRunConfig",
    "DataSettings",
    "DatasetConfig",
    "Device",
    "DisagreementsConfig",
    "Dtype",
    "EvaluateConfig",
    "FeaturesDtype",
    "Images",
    "Init",
    "KmeansConfig",
    "Measure",
    "MetricConfig",
    "NetConfig",
    "Observers",
    "Optimizer",
    "OptimizerConfig",
    "PageConfig",
    "Paper",
    "PaperConfig",
    "Precision",
    "PretrainConfig",
    "ReportConfig",
    "Resize",
    "Schedule",
    "ScratchInit",
    "Show",
    "SparsityConfig",
    "Splits",
    "TaskConfig",
    "TrainConfig",
    "TrainerConfig",
    "VariantConfig",
    "WeightsConfig",
    "explain",
    "parse",
]
