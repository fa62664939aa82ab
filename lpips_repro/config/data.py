"""What the settings of every dataset share, and `configs/dataset.yaml`; those of one dataset are next to its class."""

import enum
from dataclasses import dataclass
from typing import Any


class Resize(enum.Enum):
    """How images stored larger than a dataset's patches become such: see `lpips_repro.datasets.packing.patches`."""

    pil_bilinear = "pil_bilinear"
    pil_bicubic = "pil_bicubic"
    exact = "exact"


class Observers(enum.Enum):
    """Who judged."""

    human = "human"
    simulated = "simulated"


@dataclass(kw_only=True)
class DataSettings:
    """What the settings of every dataset have: base of the dataclass that is registered with its class.

    Attributes:
        name: of the dataset, in names of runs and tables.
        root: its folder.
        dataset: the name that its class is registered under, if `name` is another one.
        module: a Python file that registers it, or None for those that the package has.
    """

    name: str
    root: str
    dataset: str | None = None
    module: str | None = None


class Splits(enum.Enum):
    """Which phases of a dataset."""

    all = "all"
    train = "train"
    val = "val"


@dataclass
class DatasetConfig:
    """`configs/dataset.yaml`: what `make data`, `data-verify` and `data-stats` share."""

    data: Any
    splits: Splits
    experiments: str
