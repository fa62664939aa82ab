"""Settings of datasets: `configs/data/` and `configs/dataset.yaml`."""

import enum
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lpips_repro.config.checks import check_at_least, check_seed, check_workers
from lpips_repro.datasets.mirrors import local_folder
from lpips_repro.datasets.secrets import whole_mirrors
from lpips_repro.errors import UserError


class Resize(enum.Enum):
    """How images stored larger than 64 pixels become patches: see `lpips_repro.datasets.images`."""

    pil_bilinear = "pil_bilinear"
    exact = "exact"


class Observers(enum.Enum):
    """Who judged."""

    human = "human"
    simulated = "simulated"


@dataclass
class FolderConfig:
    """A dataset in the BAPPS layout on this computer, under any name."""

    name: str
    root: str
    resize: Resize
    observers: Observers | None  # None: not stated
    packed: str
    workers: int | None

    def __post_init__(self):
        check_workers(self.workers)


@dataclass
class BappsConfig(FolderConfig):
    """BAPPS: where its archives come from and go, and the published digests of its judgments."""

    mirrors: list[str]
    archives: str
    unpack: bool
    manifest: str

    def __post_init__(self):
        super().__post_init__()
        if self.observers is not Observers.human:
            found = self.observers.value if self.observers else "null"
            raise UserError(
                f"data.observers={found}: BAPPS was judged by people: other judgments are another"
                " dataset: DATA=folder DATA_ROOT=..."
            )
        if not self.mirrors:
            raise UserError("data.mirrors=[]: expected at least one address or folder")
        for mirror in self.mirrors:
            local_folder(mirror)  # raises where it is none
        for mirror in whole_mirrors(self.mirrors):
            local_folder(mirror)


@dataclass
class MiniConfig:
    """The mini dataset: see `lpips_repro.datasets.mini.build_mini`."""

    name: str
    root: str
    seed: int
    train: int
    val: int
    jnd: int
    autoencoders: int
    autoencoder_steps: int
    workers: int | None

    def __post_init__(self):
        for key in ("train", "val", "jnd", "autoencoder_steps"):
            check_at_least(f"data.{key}", getattr(self, key), 1)
        check_at_least("data.autoencoders", self.autoencoders, 2)
        check_seed(self.seed, "data.seed")
        check_workers(self.workers)
        _check_root_of_mini(Path(self.root))


def _check_root_of_mini(root: Path) -> None:
    """Refuse a folder that holds something else: mini is written into it."""
    names = [path.name for path in root.iterdir() if path.name[0] != "."] if root.is_dir() else []
    if names and not any(re.fullmatch(r"seed\d+-[0-9a-f]{8}", name) for name in names):
        raise UserError(
            f"data.root={root}: mini is written there, but the folder holds {min(names)} and no mini: set it to an"
            f" empty or a new folder; a dataset of your own is DATA=folder DATA_ROOT={root}"
        )


@dataclass
class Tid2013Config:
    """TID2013 on this computer: whole images with mean opinion scores, compared at several sizes."""

    name: str
    root: str
    sizes: list[int]
    trained_on: str | None

    def __post_init__(self):
        if not self.sizes or len(set(self.sizes)) < len(self.sizes):
            raise UserError(f"data.sizes={self.sizes}: expected one or more sizes in pixels, each once")
        for size in self.sizes:
            check_at_least("data.sizes", size, 1)


# By name; any other name is a FolderConfig.
DATA_SCHEMAS = {"bapps": BappsConfig, "mini": MiniConfig, "tid2013": Tid2013Config}


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
