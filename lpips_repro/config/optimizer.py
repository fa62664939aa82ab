"""Settings that training and pretraining share: `configs/optimizer/`, and how a step computes."""

import enum
import math
from dataclasses import dataclass

from lpips_repro.errors import UserError


class Optimizer(enum.Enum):
    """See `lpips_repro.runs.optimizer`."""

    adam = "adam"
    adamw = "adamw"
    sgd = "sgd"


class Schedule(enum.Enum):
    """How the learning rate decays: see `lpips_repro.runs.schedule`."""

    released = "released"
    paper = "paper"


class Precision(enum.Enum):
    """What the backbone is computed in while it learns; everything else is float32."""

    float32 = "float32"
    tf32 = "tf32"
    bfloat16 = "bfloat16"


@dataclass
class OptimizerConfig:
    """`configs/optimizer/`.

    Attributes:
        momentum: beta1 of Adam and AdamW, momentum of SGD; None for that of the training or the task.
    """

    name: Optimizer
    momentum: float | None
    weight_decay: float

    def __post_init__(self):
        if self.momentum is not None and not 0 <= self.momentum < 1:
            raise UserError(f"optimizer.momentum={self.momentum}: expected a number of at least 0 and below 1, or null")
        if not 0 <= self.weight_decay < math.inf:
            raise UserError(f"optimizer.weight_decay={self.weight_decay}: expected a number of at least 0")
