"""Settings of the distorting autoencoders: `configs/cnn_distortions.yaml`."""

from dataclasses import dataclass

from lpips_repro.config.checks import check_at_least, check_seed, check_workers
from lpips_repro.config.evaluate import Device
from lpips_repro.config.optimizer import Precision
from lpips_repro.errors import UserError

LEAST_SIZE = 16  # the deepest discriminator halves it to a single place


@dataclass
class CnnDistortionsConfig:
    """The settings of `configs/cnn_distortions.yaml`."""

    images: str | None
    count: int
    number: int | None
    seed: int
    perceptual: str | None
    size: int
    batch_size: int
    device: Device
    precision: Precision
    experiments: str
    store: str
    workers: int | None
    download: bool

    def __post_init__(self):
        check_seed(self.seed)
        check_workers(self.workers, "workers")
        check_at_least("count", self.count, 1)
        check_at_least("size", self.size, LEAST_SIZE)
        check_at_least("batch_size", self.batch_size, 2)  # batch normalization needs two
        if self.number is not None and not 0 <= self.number < self.count:
            raise UserError(f"number={self.number}: expected an integer from 0 to {self.count - 1} (below count)")
