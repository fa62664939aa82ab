"""BAPPS as torch datasets over packed splits: bytes until the batch, floats after it.

dataset = BAPPS2AFC("data/packed/bapps/pil_bilinear/2afc-val-cnn")
loader = DataLoader(dataset, batch_size=50, collate_fn=dataset.collate)
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lpips_repro.datasets.packed import IMAGE_FIELDS, VOTE_FIELD, open_split
from lpips_repro.errors import UserError


class _PackedDataset(Dataset):
    """A map-style dataset over one packed split.

    Args:
        path: folder of the packed split.

    Attributes:
        card: the split's card: count, digest, resize, observers and where it comes from.

    Raises:
        UserError: where there is no packed split (the message names the command that makes it) or one of another kind.
    """

    kind: str

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not self.path.is_dir():
            raise UserError(f"{self.path}: no packed split here: run `make data` (BAPPS) or `make data DATA=mini`")
        self._open()
        if self.card["kind"] != self.kind:
            raise UserError(
                f"{self.path}: a {self.card['kind']} split, expected {self.kind}: use the other dataset class"
            )

    def _open(self) -> None:
        split = open_split(self.path)
        self.card: dict[str, Any] = split.card
        self._arrays = split.arrays

    def __len__(self) -> int:
        return self.card["count"]

    def __getitem__(self, index: int) -> dict[str, np.ndarray | np.float32]:
        """Views into the memory map, not copies: images uint8 (64, 64, 3), and the vote."""
        return {name: array[index] for name, array in self._arrays.items()}

    def collate(self, examples: list[dict[str, np.ndarray]]) -> dict[str, Tensor]:
        """For DataLoader's `collate_fn`: images as float32 (N, 3, 64, 64) in [0, 1], the vote as float32 (N,)."""
        batch = {}
        for name in IMAGE_FIELDS[self.kind]:
            images = torch.from_numpy(np.stack([example[name] for example in examples]))
            # Converted, then divided in place: dividing the bytes themselves is many times slower.
            batch[name] = images.permute(0, 3, 1, 2).float().div_(255)
        vote = VOTE_FIELD[self.kind]
        return {**batch, vote: torch.tensor([float(example[vote]) for example in examples])}

    # A worker process opens the files itself: a memory map would be pickled whole.
    def __getstate__(self) -> Path:
        return self.path

    def __setstate__(self, path: Path) -> None:
        self.path = path
        self._open()


class BAPPS2AFC(_PackedDataset):
    """Triplets: `ref`, `p0`, `p1`, and `judge`, the share of judges who chose p1."""

    kind = "2afc"


class BAPPSJND(_PackedDataset):
    """Pairs: `p0`, `p1`, and `same`, the share of judges who answered "same"."""

    kind = "jnd"
