"""Common settings of pretext tasks, and `configs/pretrain.yaml`. Settings of one task are next to its class."""

import math
from dataclasses import dataclass, field
from typing import Any

from lpips_repro.config.checks import check_at_least, check_seed, check_workers
from lpips_repro.config.evaluate import Device
from lpips_repro.config.optimizer import OptimizerConfig, Precision, Schedule
from lpips_repro.errors import UserError


@dataclass
class TaskConfig:
    """Common settings of pretext tasks: the base of the dataclass that is registered with a task's class.

    Attributes:
        name: the registered name of its class.
        size: side of the stored crops of photographs in pixels; side: side of the part that a step sees.
        module: a Python file that registers it, or None for tasks of this package.
    """

    name: str
    size: int
    side: int
    steps: int
    batch_size: int
    learning_rate: float
    beta1: float
    module: str | None = field(default=None, kw_only=True)

    def __post_init__(self):
        check_at_least("task.steps", self.steps, 1)
        check_at_least("task.batch_size", self.batch_size, 2)  # batch normalization needs two
        check_at_least("task.size", self.size, self.side)
        if not 0 < self.learning_rate < math.inf:
            raise UserError(f"task.learning_rate={self.learning_rate}: expected a positive number")
        if not 0 <= self.beta1 < 1:
            raise UserError(f"task.beta1={self.beta1}: expected a number of at least 0 and below 1")


@dataclass
class PretrainConfig:
    """The settings of `configs/pretrain.yaml`; `task` as in `config.choices`."""

    task: Any
    images: str | None
    seed: int
    device: Device
    experiments: str
    store: str
    workers: int | None
    validate_every: int
    log_every: int
    checkpoint_minutes: float
    optimizer: OptimizerConfig
    schedule: Schedule
    precision: Precision
    compile: bool

    def __post_init__(self):
        check_seed(self.seed)
        check_workers(self.workers, "workers")
        for key in ("validate_every", "log_every"):
            check_at_least(key, getattr(self, key), 1)
        if not 0 < self.checkpoint_minutes < math.inf:
            raise UserError(f"checkpoint_minutes={self.checkpoint_minutes}: expected a positive number")
