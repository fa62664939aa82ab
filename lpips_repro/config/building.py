"""Settings of a dataset built from photographs: `configs/build_dataset.yaml` and `configs/simulate.yaml`."""

import enum
from dataclasses import dataclass
from typing import Any

from lpips_repro.config.checks import check_at_least, check_seed, check_workers
from lpips_repro.errors import UserError

MOST_VOTES = 1_000_000


class Distortions(enum.Enum):
    """The distortions of a split of a built dataset: one family, or one per candidate (mix)."""

    traditional = "traditional"
    cnn = "cnn"
    mix = "mix"


@dataclass
class BuildConfig:
    """The settings of `configs/build_dataset.yaml`."""

    images: str
    out: str
    splits: list[Distortions]
    cnn: str | None
    train: int
    val: int
    jnd: int
    val_share: float
    size: int
    margin: int
    contrast: float
    severity_2afc: list[float]
    severity_jnd: list[float]
    seed: int
    workers: int | None

    def __post_init__(self) -> None:
        check_seed(self.seed)
        check_workers(self.workers, "workers")
        check_at_least("size", self.size, 16)
        for key in ("margin", "train", "val", "jnd"):
            check_at_least(key, getattr(self, key), 0)
        for key in ("val_share", "contrast"):
            if not 0 <= getattr(self, key) < 1:
                raise UserError(f"{key}={getattr(self, key)}: expected a number of at least 0 and below 1")
        for key in ("severity_2afc", "severity_jnd"):
            bounds = getattr(self, key)
            if len(bounds) != 2 or not 0 <= bounds[0] <= bounds[1] <= 1:
                raise UserError(f"{key}={_listed(bounds)}: expected two numbers in [0, 1], the smaller one first")
        names = [split.value for split in self.splits]
        if not names or len(set(names)) < len(names):
            raise UserError(f"splits={_listed(names)}: expected some of {', '.join(one.value for one in Distortions)}")
        if self.cnn is None and names != ["traditional"]:
            raise UserError(
                f"splits={_listed(names)}: cnn and mix need trained autoencoders: set cnn=FOLDER, made by"
                " `make cnn-distortions`"
            )
        if not self.train + self.val + self.jnd:
            raise UserError("train=0 val=0 jnd=0: nothing to build: expected at least one of them above 0")
        if names == ["mix"] and not self.train:
            raise UserError("splits=[mix] train=0: nothing to build: mix is only for train")

    @property
    def padded(self) -> int:
        """Side in pixels of a crop of a photograph: the patch with its margin."""
        return self.size + 2 * self.margin


@dataclass
class SimulateConfig:
    """The settings of `configs/simulate.yaml`."""

    out: str
    seed: int
    train_votes: int
    val_votes: int
    jnd_votes: int

    def __post_init__(self) -> None:
        check_seed(self.seed)
        for key in ("train_votes", "val_votes", "jnd_votes"):
            if not 1 <= getattr(self, key) <= MOST_VOTES:
                raise UserError(f"{key}={getattr(self, key)}: expected an integer from 1 to {MOST_VOTES}")


def _listed(values: list[Any]) -> str:
    return f"[{','.join(map(str, values))}]"
