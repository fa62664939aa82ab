"""Settings of pretraining: `configs/pretrain.yaml` and `configs/task/`."""

import math
from dataclasses import dataclass
from typing import Any

from lpips_repro.config.checks import check_at_least, check_seed, check_workers
from lpips_repro.config.choices import register_settings
from lpips_repro.config.evaluate import Device
from lpips_repro.config.optimizer import OptimizerConfig, Precision, Schedule
from lpips_repro.errors import UserError

# Each is chosen among all 9! by its distance to those before: of so many in seconds. The paper has up to 1000.
MOST_PERMUTATIONS = 2000


@dataclass
class TaskConfig:
    """What every pretext task has.

    Attributes:
        size: side in pixels of the crops that photographs are stored as; side: of the part of one that is seen.
    """

    name: str
    size: int
    side: int
    steps: int
    batch_size: int
    learning_rate: float
    beta1: float

    def __post_init__(self):
        check_at_least("task.steps", self.steps, 1)
        check_at_least("task.batch_size", self.batch_size, 2)  # batch normalisation takes two
        check_at_least("task.size", self.size, self.side)
        if not 0 < self.learning_rate < math.inf:
            raise UserError(f"task.learning_rate={self.learning_rate}: expected a positive number")
        if not 0 <= self.beta1 < 1:
            raise UserError(f"task.beta1={self.beta1}: expected a number of at least 0 and below 1")


@dataclass
class PuzzleConfig(TaskConfig):
    """See `lpips_repro.pretraining.puzzle`."""

    tile: int
    permutations: int
    features: int
    hidden: int

    def __post_init__(self):
        super().__post_init__()
        check_at_least("task.tile", self.tile, 23)  # what leaves conv5 a pixel
        check_at_least("task.side", self.side, 3 * (self.tile + 1))  # tiles in their cells, with a pixel to move
        check_at_least("task.features", self.features, 1)
        check_at_least("task.hidden", self.hidden, 1)
        if not 2 <= self.permutations <= MOST_PERMUTATIONS:
            raise UserError(f"task.permutations={self.permutations}: expected an integer from 2 to {MOST_PERMUTATIONS}")


@dataclass
class SplitBrainConfig(TaskConfig):
    """See `lpips_repro.pretraining.splitbrain`."""

    hidden: int
    recoloured: float

    def __post_init__(self):
        super().__post_init__()
        check_at_least("task.hidden", self.hidden, 1)
        if not 0 <= self.recoloured <= 1:
            raise UserError(f"task.recoloured={self.recoloured}: expected a share in [0, 1]")
        if self.side < 35 or self.side % 16 != 3:
            raise UserError(f"task.side={self.side}: expected 35, 51, 67, ...: conv5's map then fits the picture")


@dataclass
class BiganConfig(TaskConfig):
    """See `lpips_repro.pretraining.bigan`."""

    latents: int
    width: int
    hidden: int

    def __post_init__(self):
        super().__post_init__()
        for key in ("latents", "width", "hidden"):
            check_at_least(f"task.{key}", getattr(self, key), 1)
        if self.side != 64:
            raise UserError(f"task.side={self.side}: expected 64, which the generator makes")


TASK_SCHEMAS = {"splitbrain": SplitBrainConfig, "puzzle": PuzzleConfig, "bigan": BiganConfig}
for _name, _settings in TASK_SCHEMAS.items():
    register_settings("task", _name, _settings)


@dataclass
class PretrainConfig:
    """`configs/pretrain.yaml`; `task` as in `TASK_SCHEMAS`."""

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
