"""BAPPS as torch datasets over packed splits: bytes in a memory map until they are asked for, then floats.

    from torch.utils.data import DataLoader
    from lpips_repro.datasets.torch_datasets import BAPPS2AFC

    dataset = BAPPS2AFC("data/packed/bapps/pil_bilinear/2afc-val-cnn")
    dataset.card                    # count, digest, resize, observers and where the split comes from
    dataset[3]["ref"]               # float32 (3, 64, 64) in [0, 1]; dataset[:8]["ref"]: (8, 3, 64, 64)
    for batch in DataLoader(dataset, batch_size=50, shuffle=True):
        batch["ref"]                # float32 (50, 3, 64, 64) in [0, 1], channels last in memory; p0 and p1 alike
        batch["judge"]              # float32 (50,), shares

No `collate_fn` is needed; `Subset`, `ConcatDataset` and worker processes work as with any dataset. But a loader without
workers is the fastest: there is nothing to decode, so all that they can do is to read a slow disk ahead.
"""

import functools
import re
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate, get_worker_info
from torch.utils.data._utils.collate import default_collate_fn_map

from lpips_repro.datasets.packed import LAYOUT_VERSION, open_split, read_card
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
        self._open()
        if (kind := self.card["kind"]) != self.kind:
            raise UserError(f"{self.path}: a {kind} split, expected {self.kind}: use the other dataset class")

    def _open(self) -> None:
        card = read_card(self.path)
        if card is None:
            raise UserError(f"{self.path}: no packed split of layout {LAYOUT_VERSION} here: {_remedy(self.path)}")
        self.card: dict[str, Any] = card
        self._arrays = _map_arrays(self.path, card["digest"])

    def __len__(self) -> int:
        return self.card["count"]

    def __getitem__(self, index: int | slice | list[int]) -> dict[str, Tensor]:
        """One example, or several as a batch: images as float32 (..., 3, 64, 64) in [0, 1] and the votes' shares."""
        return _Example(_as_floats(self._arrays, index))

    def __getitems__(self, indices: list[int]) -> Sequence[dict[str, Tensor]]:
        """What DataLoader asks for: a batch's examples, read field by field, which is many times faster."""
        rows = [int(index) for index in indices]
        if type(self).__getitem__ is not _PackedDataset.__getitem__:  # a subclass changes the examples
            return [self[row] for row in rows]
        return _Examples(self, rows)

    # A worker process opens the files itself: a memory map would be pickled whole.
    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_arrays"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._open()


class BAPPS2AFC(_PackedDataset):
    """Triplets: `ref`, `p0`, `p1`, and `judge`, the share of judges who chose p1."""

    kind = "2afc"


class BAPPSJND(_PackedDataset):
    """Pairs: `p0`, `p1`, and `same`, the share of judges who answered "same"."""

    kind = "jnd"


def _remedy(path: Path) -> str:
    """The command that makes the split that belongs at `path`, as far as its place tells which that is."""
    phase = re.match(r"(?:2afc|jnd)-(train|val)-", path.name)
    splits = f" SPLITS={phase[1]}" if phase else ""
    resize = ' ARGS="data.resize=exact"' if path.parent.name == "exact" else ""
    return f"run `make data{splits}{resize}` (BAPPS) or `make data{splits} DATA=mini`"


@functools.lru_cache(maxsize=32)
def _map_arrays(path: Path, digest: str) -> dict[str, np.ndarray]:
    """The memory-mapped fields of the split at `path`, the same ones for all who ask."""
    split = open_split(path)
    if split.card["digest"] != digest:
        raise UserError(f"{path}: packed anew while it was being read: run the command again")
    return split.arrays


def _as_floats(arrays: Mapping[str, np.ndarray], rows: int | slice | list[int]) -> dict[str, Tensor]:
    """Rows of images (N, 64, 64, 3) as float32 (..., 3, 64, 64) in [0, 1]; votes as they are.

    The images are parts of one array: the system maps one large block much faster than several. And NumPy divides in
    this thread alone: beside busy processes, torch's threads wait for each other many times longer than they work.
    """
    fields = {name: array[rows] for name, array in arrays.items()}
    images = {name: array for name, array in fields.items() if array.dtype == np.uint8}
    floats = np.empty((len(images), *next(iter(images.values())).shape), np.float32)
    for image, out in zip(images.values(), floats, strict=True):
        np.divide(image, 255, out=out, dtype=np.float32)
    tensors = dict(zip(images, torch.from_numpy(floats).movedim(-1, -3), strict=True))
    return tensors | {name: torch.tensor(array) for name, array in fields.items() if name not in images}


class _Example(dict):
    """Fields as floats; a type of its own so that default_collate leaves what to do with them to `_collate`."""


class _Examples(Sequence):
    """Rows of a dataset, unread; a sequence for those who bring their own `collate_fn`."""

    def __init__(self, dataset: _PackedDataset, rows: list[int]):
        self.dataset, self.rows = dataset, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.dataset[self.rows[index]]


class _WorkerBatch(MutableMapping):
    """A batch in a worker. One that nobody looked at goes to the loader's process as the numbers of its rows.

    What the worker reads is then in the page cache, memory that all processes share: to take it from there costs less
    than to receive it, even as bytes. Once looked at, as in a `collate_fn` that changes it, it goes as it is.
    """

    def __init__(self, dataset: _PackedDataset, rows: list[int]):
        self.dataset, self.rows = dataset, rows
        for array in dataset._arrays.values():
            array[rows]  # read ahead

    @functools.cached_property
    def fields(self) -> dict[str, Tensor]:
        return _as_floats(self.dataset._arrays, self.rows)

    def __getitem__(self, name: str) -> Tensor:
        return self.fields[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.fields[name] = value

    def __delitem__(self, name: str) -> None:
        del self.fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def __or__(self, other: Mapping) -> dict[str, Any]:
        return {**self, **other}

    def __reduce__(self) -> tuple:
        if "fields" in vars(self):
            return dict, (self.fields,)
        return _read_batch, (self.dataset.path, self.dataset.card["digest"], self.rows)


def _read_batch(path: Path, digest: str, rows: list[int]) -> dict[str, Tensor]:
    return _as_floats(_map_arrays(path, digest), rows)


def _collate(examples: Sequence[_Example], *, collate_fn_map: dict | None = None) -> Mapping[str, Tensor]:
    if not isinstance(examples, _Examples):  # fetched one by one, as ConcatDataset does
        return default_collate([dict(example) for example in examples])
    dataset, rows = examples.dataset, examples.rows
    return _as_floats(dataset._arrays, rows) if get_worker_info() is None else _WorkerBatch(dataset, rows)


# The way that default_collate documents for types of one's own.
default_collate_fn_map[_Example] = _collate
