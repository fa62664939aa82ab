"""Common settings of datasets, and `configs/dataset.yaml`. Settings of one dataset are next to its class."""

import enum
from dataclasses import dataclass
from typing import Any


class Resize(enum.Enum):
    """The resizing of images that are stored larger than patches: see `lpips_repro.datasets.packing.patches`."""

    pil_bilinear = "pil_bilinear"
    pil_bicubic = "pil_bicubic"
    exact = "exact"


class Observers(enum.Enum):
    """Who judged."""

    human = "human"
    simulated = "simulated"


@dataclass(kw_only=True)
class DataSettings:
    """Common settings of datasets: the base of the dataclass that is registered with a dataset's class.

    Attributes:
        name: name of the dataset in names of runs and tables.
        root: its folder.
        dataset: the registered name of its class, if it differs from `name`.
        module: a Python file that registers it, or None for datasets of this package.
    """

    name: str
    root: str
    dataset: str | None = None
    module: str | None = None


class Splits(enum.Enum):
    """The selected phases of a dataset."""

    all = "all"
    train = "train"
    val = "val"


@dataclass
class DatasetConfig:
    """The settings of `configs/dataset.yaml`, for `make data`, `data-verify` and `data-stats`."""

    data: Any
    splits: Splits
    experiments: str
