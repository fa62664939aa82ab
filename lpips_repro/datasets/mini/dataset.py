"""The mini dataset: its settings (`configs/data/mini.yaml`) and its folder."""

import contextlib
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lpips_repro.config import DataSettings
from lpips_repro.config.checks import check_seed, check_workers
from lpips_repro.datasets.packed import PackedSplit, leftovers
from lpips_repro.datasets.registry import Dataset, register_dataset
from lpips_repro.errors import UserError
from lpips_repro.files.locks import clear_leftovers, exclusive

MOST = 1_000_000  # of each number: 37 GB per split
# Settings other than the seed that change the dataset.
MADE_BY = ("train", "val", "jnd", "autoencoders", "autoencoder_steps")


@dataclass
class MiniConfig(DataSettings):
    """The settings of mini: see `lpips_repro.datasets.mini.build.build_mini`."""

    seed: int
    train: int
    val: int
    jnd: int
    autoencoders: int
    autoencoder_steps: int
    workers: int | None

    def __post_init__(self):
        for key in ("train", "val", "jnd", "autoencoder_steps", "autoencoders"):
            least, number = 2 if key == "autoencoders" else 1, getattr(self, key)
            if not least <= number <= MOST:
                raise UserError(f"data.{key}={number}: expected an integer from {least} to {MOST}")
        check_seed(self.seed, "data.seed")
        check_workers(self.workers)
        _check_root(Path(self.root))


def _check_root(root: Path) -> None:
    """Raise UserError if the folder, which mini is written into, holds something else."""
    names = [path.name for path in root.iterdir() if path.name[0] != "."] if root.is_dir() else []
    if names and not any(re.fullmatch(r"seed\d+-[0-9a-f]{8}", name) for name in names):
        raise UserError(
            f"data.root={root}: mini is written there, but the folder holds {min(names)}, not mini: set it to an"
            f" empty or a new folder; to use your own dataset, set DATA=folder DATA_ROOT={root}"
        )


@register_dataset("mini", MiniConfig)
class Mini(Dataset):
    """The mini dataset, made in a minute. Other settings make another dataset next to it."""

    settings: MiniConfig

    def prepare(self, phases: Sequence[str]) -> list[PackedSplit]:
        """See `Dataset`."""
        # Imported here since it imports torch, which other datasets do not need.
        from lpips_repro.datasets.mini.build import build_mini, is_complete

        made = {key: getattr(self.settings, key) for key in MADE_BY}
        digest = hashlib.sha256(repr(sorted(made.items())).encode()).hexdigest()[:8]
        seed = self.settings.seed
        root = Path(self.settings.root) / f"seed{seed}-{digest}"
        clear_leftovers(root, leftovers())
        # A complete dataset is read without the lock.
        complete = is_complete(root, seed=seed, **made)
        with contextlib.nullcontext() if complete else exclusive(root, leftovers=leftovers()):
            splits = build_mini(root, seed=seed, workers=self.workers, **made)
        return [split for phase in phases for split in splits if split.card["phase"] == phase]
