"""Settings of training: `configs/train.yaml` and `configs/trainer/`."""

import enum
import math
from dataclasses import dataclass
from typing import Any

from lpips_repro.config.checks import check_at_least, check_bootstrap, check_seed
from lpips_repro.config.evaluate import Device, NetConfig, VariantConfig
from lpips_repro.config.optimizer import OptimizerConfig, Precision, Schedule
from lpips_repro.errors import UserError


class Activation(enum.Enum):
    """The ranking network's activation: see `lpips_repro.training.ranking`."""

    leaky_relu = "leaky_relu"
    relu = "relu"


class ScratchInit(enum.Enum):
    """The initialization of a network that is trained from scratch."""

    torchvision = "torchvision"
    gaussian = "gaussian"


class FeaturesDtype(enum.Enum):
    """The dtype of stored lin features."""

    float32 = "float32"
    float16 = "float16"


@dataclass
class TrainerConfig:
    """The settings of the training loop: see `configs/train.yaml`."""

    epochs: int
    decay_epochs: int
    schedule: Schedule
    learning_rate: float
    batch_size: int
    dropout: bool
    activation: Activation
    scratch_init: ScratchInit
    released_clamp: bool
    lin_features: bool
    lin_features_dtype: FeaturesDtype
    precision: Precision
    compile: bool
    log_every: int
    checkpoint_minutes: float

    def __post_init__(self):
        for key in ("epochs", "batch_size", "log_every"):
            check_at_least(f"trainer.{key}", getattr(self, key), 1)
        check_at_least("trainer.decay_epochs", self.decay_epochs, 0)
        for key in ("learning_rate", "checkpoint_minutes"):
            value = getattr(self, key)
            if not 0 < value < math.inf:
                raise UserError(f"trainer.{key}={value}: expected a positive number")


@dataclass
class TrainConfig:
    """The settings of `configs/train.yaml`, with one network and one variant; `data` as in `config.choices`."""

    data: Any
    net: dict[str, NetConfig]
    variant: dict[str, VariantConfig]
    version: str
    seed: int
    device: Device
    experiments: str
    features: str
    download: bool
    bootstrap: int
    trainer: TrainerConfig
    optimizer: OptimizerConfig

    def __post_init__(self):
        check_seed(self.seed)
        check_bootstrap(self.bootstrap)
        for key in ("net", "variant"):
            if len(getattr(self, key)) != 1:
                raise UserError(f"{key}=[{','.join(getattr(self, key))}]: expected one value: a run trains one")
