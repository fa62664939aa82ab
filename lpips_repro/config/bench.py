"""Settings of the benchmark: `configs/bench.yaml`."""

import enum
from dataclasses import dataclass, field

from lpips_repro.config.checks import check_at_least, check_threads
from lpips_repro.config.evaluate import Device, NetConfig
from lpips_repro.errors import UserError


class Measure(enum.Enum):
    """The measurements: see `configs/bench.yaml`."""

    evaluation = "evaluation"
    table = "table"
    training = "training"
    lin = "lin"
    classic = "classic"
    split = "split"
    files = "files"
    building = "building"
    page = "page"


# Measurements that are not compared with another commit.
NOT_AGAINST = {Measure.table, Measure.split, Measure.files, Measure.building, Measure.page}


@dataclass(kw_only=True)
class BenchConfig:
    """The settings of `configs/bench.yaml`."""

    net: dict[str, NetConfig] = field(default_factory=dict)
    measure: list[Measure]
    device: Device
    threads: int | None
    batch_size: int
    cuda_batch_size: int
    repeats: int
    seconds: float
    pairs: int
    table_triplets: int
    split_triplets: list[int]
    file_pairs: int
    matrix_images: int
    build_triplets: int
    compile: bool
    against: str | None
    experiments: str

    def __post_init__(self):
        for key in (
            "batch_size",
            "cuda_batch_size",
            "repeats",
            "pairs",
            "table_triplets",
            "file_pairs",
            "build_triplets",
        ):
            check_at_least(key, getattr(self, key), 1)
        check_at_least("matrix_images", self.matrix_images, 2)
        check_threads(self.threads)
        if not self.measure:
            raise UserError(f"measure=[]: expected some of {', '.join(part.name for part in Measure)}")
        if self.against is not None and set(self.measure) <= NOT_AGAINST:
            text = ",".join(part.name for part in self.measure)
            raise UserError(f"measure=[{text}]: not compared with another commit: expected evaluation, training, ...")
        if len(self.split_triplets) != 2 or not 0 < self.split_triplets[0] < self.split_triplets[1]:
            raise UserError(f"split_triplets={self.split_triplets}: expected two numbers, the smaller one first")
