"""Packed splits as torch datasets: bytes in a memory map, converted to floats when they are read.

    from torch.utils.data import DataLoader
    from lpips_repro.datasets.torch_datasets import BAPPS2AFC

    dataset = BAPPS2AFC("data/packed/bapps/pil_bilinear/2afc-val-cnn")
    dataset.card                    # count, digest, size, resize, observers and the origin of the split
    dataset[3]["ref"]               # float32 (3, 64, 64) in [0, 1]; dataset[:8]["ref"]: (8, 3, 64, 64)
    for batch in DataLoader(dataset, batch_size=50, shuffle=True):
        batch["ref"]                # float32 (50, 3, 64, 64) in [0, 1], channels last in memory; p0 and p1 alike
        batch["judge"]              # float32 (50,), shares

No `collate_fn` is needed. `Subset`, `ConcatDataset` and worker processes work as with any dataset. A loader without
workers is the fastest, since nothing is decoded.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate
from torch.utils.data._utils.collate import default_collate_fn_map

from lpips_repro.config import Resize
from lpips_repro.datasets.packed import LAYOUT_VERSION, open_split, read_card
from lpips_repro.errors import UserError


class _PackedDataset(Dataset):
    """A map-style dataset of one packed split.

    Args:
        path: the folder of the packed split.

    Attributes:
        card: the split's card: count, digest, size (H, W), resize, observers and its origin.

    Raises:
        UserError: if there is no packed split (the message names the command that makes it) or it has another kind.
    """

    kind: str

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._open()
        if (kind := self.card["kind"]) != self.kind:
            raise UserError(f"{self.path}: a {kind} split, expected {self.kind}: use the other dataset class")

    def _open(self) -> None:
        if read_card(self.path) is None:
            raise UserError(f"{self.path}: no packed split of layout {LAYOUT_VERSION} here: {_remedy(self.path)}")
        split = open_split(self.path)
        self.card, self._arrays = split.card, split.arrays

    def __len__(self) -> int:
        return self.card["count"]

    def __getitem__(self, index: int | slice | list[int]) -> dict[str, Tensor]:
        """One example, or a batch: images as float32 (..., 3, H, W) in [0, 1], and shares as float32 (...,)."""
        return _Example(_as_floats(self._arrays, index))

    def __getitems__(self, indices: list[int]) -> Sequence[dict[str, Tensor]]:
        """The examples of a batch for DataLoader, read field by field, which is many times faster."""
        rows = [int(index) for index in indices]
        if type(self).__getitem__ is not _PackedDataset.__getitem__:  # a subclass changes the examples
            return [self[row] for row in rows]
        return _Examples(self, rows)

    # Another process opens the files again: a memory map would be pickled with its content.
    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_arrays"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        digest = self.card["digest"]
        self._open()
        if self.card["digest"] != digest:
            raise UserError(f"{self.path}: packed again while it was being read: run the command again")


class BAPPS2AFC(_PackedDataset):
    """Triplets: `ref`, `p0` and `p1`, and `judge`, the share of judges who chose p1."""

    kind = "2afc"


class BAPPSJND(_PackedDataset):
    """Pairs: `p0` and `p1`, and `same`, the share of judges who answered "same"."""

    kind = "jnd"


def _remedy(path: Path) -> str:
    """The command that makes the split at `path`, as far as the path tells."""
    phase = re.match(r"(?:2afc|jnd)-(train|val)-", path.name)
    splits = f" SPLITS={phase[1]}" if phase else ""
    form = re.fullmatch(rf"({'|'.join(Resize.__members__)})(?:-(\d+))?", path.parent.name)
    resize, size = form.groups() if form else (Resize.pil_bilinear.value, None)
    settings = [f"data.resize={resize}"] if resize != Resize.pil_bilinear.value else []
    settings += [f"data.size={size}"] if size else []
    args = f' ARGS="{" ".join(settings)}"' if settings else ""
    return f"run `make data{splits}{args}` (BAPPS) or `make data{splits} DATA=mini`"


def _as_floats(arrays: Mapping[str, np.ndarray], rows: int | slice | list[int]) -> dict[str, Tensor]:
    """Rows of images (N, H, W, 3) as float32 (..., 3, H, W) in [0, 1]; rows of votes unchanged.

    All fields are parts of one array, since the system maps one large block much faster than several. NumPy divides in
    this thread: next to busy processes, torch's threads would wait for each other many times longer than they work.
    """
    fields = {name: array[rows] for name, array in arrays.items()}
    images = {name: array for name, array in fields.items() if array.dtype == np.uint8}
    floats = np.empty((len(images), *next(iter(images.values())).shape), np.float32)
    for image, out in zip(images.values(), floats, strict=True):
        np.divide(image, 255, out=out, dtype=np.float32)
    tensors = dict(zip(images, torch.from_numpy(floats).movedim(-1, -3), strict=True))
    return tensors | {name: torch.tensor(array) for name, array in fields.items() if name not in images}


class _Example(dict):
    """An example of floats. Its own type makes default_collate call `_collate`."""


class _Examples(Sequence):
    """Rows of a dataset that are not read yet; a sequence, for a user's own `collate_fn`."""

    def __init__(self, dataset: _PackedDataset, rows: list[int]):
        self.dataset, self.rows = dataset, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int | slice) -> Any:
        return self.dataset[self.rows[index]]


def _collate(examples: Sequence[_Example], *, collate_fn_map: dict | None = None) -> Mapping[str, Tensor]:
    if not isinstance(examples, _Examples):  # fetched one by one, as ConcatDataset does
        return default_collate([dict(example) for example in examples])
    return _as_floats(examples.dataset._arrays, examples.rows)


# The documented way to extend default_collate to new types.
default_collate_fn_map[_Example] = _collate
