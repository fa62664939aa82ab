"""Several arrays as one, with rows by number from memory maps or from the memory of a GPU."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lpips_repro.devices import send

# Rows per copy when all rows are sent to a GPU.
BLOCK = 2000


class ConcatenatedArrays:
    """Several arrays, one after the other, with consecutive numbers of rows.

    Args:
        arrays: arrays, memory-mapped or not, that differ only in length.
        device: the device of returned rows.
        resident: keep all rows on the device; otherwise rows are sent on demand.

    Attributes:
        nbytes: size of all rows.
        on_device: all rows, (N, ...), if they are kept on the device.
    """

    def __init__(self, arrays: Sequence[np.ndarray], device: torch.device, *, resident: bool = False):
        self.arrays, self.device = arrays, device
        self.ends = np.cumsum([len(array) for array in arrays])
        self.nbytes = sum(array.nbytes for array in arrays)
        self.on_device: Tensor | None = None
        if resident:
            self.keep_on_device()

    def __getitem__(self, indices: np.ndarray) -> Tensor:
        """The rows with these numbers, on the device. It does not wait for a GPU."""
        if self.on_device is not None:
            return self.on_device.index_select(0, send(indices, self.device))
        out = np.empty((len(indices), *self.arrays[0].shape[1:]), self.arrays[0].dtype)
        which = np.searchsorted(self.ends, indices, side="right")
        for number, array in enumerate(self.arrays):
            chosen = which == number
            start = self.ends[number - 1] if number else 0
            out[chosen] = array[indices[chosen] - start]
        return send(out, self.device)

    def keep_on_device(self) -> None:
        """Send all rows to the device, and keep them there."""
        first = torch.from_numpy(np.array(self.arrays[0][:1]))
        out = torch.empty((int(self.ends[-1]), *first.shape[1:]), dtype=first.dtype, device=self.device)
        for array, end in zip(self.arrays, self.ends, strict=True):
            for start in range(0, len(array), BLOCK):
                rows = send(np.array(array[start : start + BLOCK]), self.device)
                begin = int(end) - len(array) + start
                out[begin : begin + len(rows)] = rows
        self.on_device = out
