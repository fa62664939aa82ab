"""The 2AFC examples of the page: votes and distances, concatenated over all splits."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.evaluation.tables.table import Row

# d0 and d1, (N,) each, by name of the split.
Pairs = Mapping[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Examples:
    """The 2AFC examples of a report.

    Attributes:
        splits: splits, whose examples are concatenated in this order.
        methods: rows of the table with stored distances, and these distances.
    """

    splits: Sequence[PackedSplit]
    methods: Sequence[tuple[Row, Pairs]]

    def __len__(self) -> int:
        return sum(map(len, self.splits))

    @property
    def votes(self) -> np.ndarray:
        """The shares of judges who chose p1 over all splits, float32 (N,)."""
        return np.concatenate([np.asarray(split.votes, np.float32) for split in self.splits])

    def distances(self, place: int) -> tuple[np.ndarray, np.ndarray]:
        """Return d0 and d1 of a method, given by index, over all splits: float32 (N,), with unchanged verdicts."""
        _, by_split = self.methods[place]
        d0, d1 = (np.concatenate([by_split[split.name][side] for split in self.splits]) for side in (0, 1))
        return single_precision(d0, d1)


def single_precision(d0: np.ndarray, d1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return distances as float32. If two distances become equal, the second is moved to the next number."""
    first, second = d0.astype(np.float32), d1.astype(np.float32)
    lost = (first == second) & (d0 != d1)
    towards = np.where(d1 > d0, np.inf, -np.inf).astype(np.float32)
    second[lost] = np.nextafter(first[lost], towards[lost])
    return first, second


def as_text(values: np.ndarray, dtype: str = "<f4") -> str:
    """Return numbers as base64 text of their bytes."""
    return base64.b64encode(np.ascontiguousarray(values, dtype).tobytes()).decode()
