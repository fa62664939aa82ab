"""Common settings of training and pretraining: `configs/optimizer/`, schedule and precision."""

import enum
import math
from dataclasses import dataclass

from lpips_repro.errors import UserError


class Optimizer(enum.Enum):
    """The optimizers: see `lpips_repro.runs.optimizer`."""

    adam = "adam"
    adamw = "adamw"
    sgd = "sgd"


class Schedule(enum.Enum):
    """The decay of the learning rate: see `lpips_repro.runs.schedule`."""

    released = "released"
    paper = "paper"


class Precision(enum.Enum):
    """The precision of a backbone that learns. Everything else is float32."""

    float32 = "float32"
    tf32 = "tf32"
    bfloat16 = "bfloat16"


@dataclass
class OptimizerConfig:
    """The settings of `configs/optimizer/`.

    Attributes:
        momentum: beta1 of Adam and AdamW, momentum of SGD; None: the default of the training or the task.
    """

    name: Optimizer
    momentum: float | None
    weight_decay: float

    def __post_init__(self):
        if self.momentum is not None and not 0 <= self.momentum < 1:
            raise UserError(f"optimizer.momentum={self.momentum}: expected a number of at least 0 and below 1, or null")
        if not 0 <= self.weight_decay < math.inf:
            raise UserError(f"optimizer.weight_decay={self.weight_decay}: expected a number of at least 0")
