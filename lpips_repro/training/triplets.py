"""The triplets of several splits as one numbered collection, with batches by number: images or lin features."""

import logging
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.features.patches import as_images
from lpips_repro.features.stored import SplitFeatures
from lpips_repro.training.batch import Batch, FeatureBatch, ImageBatch
from lpips_repro.training.concatenated import ConcatenatedArrays

log = logging.getLogger(__name__)

# The share of a GPU's free memory that triplets may take.
RESIDENT_SHARE = 0.8


class ImageTriplets:
    """Triplets as images.

    Args:
        splits: packed 2AFC splits, with consecutive numbers in this order.
        device: the device of batches.
        resident: keep all triplets on the device, in their stored form: see `keep_what_fits`.
    """

    def __init__(self, splits: Sequence[PackedSplit], device: torch.device, *, resident: bool = False):
        self.splits, self.device = splits, device
        self.ends = np.cumsum([len(split) for split in splits])
        self.judge = np.concatenate([split.votes for split in splits])
        self.fields = self._fields(resident)
        # Votes are small: a GPU keeps them all.
        self.votes_by_number = ConcatenatedArrays([self.judge], device, resident=device.type == "cuda")

    def _fields(self, resident: bool) -> list[ConcatenatedArrays]:
        fields = ([split.arrays[name] for split in self.splits] for name in TWOAFC.images)
        return [ConcatenatedArrays(arrays, self.device, resident=resident) for arrays in fields]

    def __len__(self) -> int:
        return int(self.ends[-1])

    @property
    def nbytes(self) -> int:
        """The size of all triplets on a device, in bytes."""
        return sum(field.nbytes for field in self.fields)

    def keep_on_device(self) -> None:
        """Send all triplets to the device, and keep them there."""
        for field in self.fields:
            field.keep_on_device()

    def batch(self, indices: np.ndarray) -> Batch:
        """The triplets with these numbers, on the device. It does not wait for a GPU."""
        return ImageBatch(*(as_images(field[indices]) for field in self.fields))

    def votes(self, indices: np.ndarray) -> Tensor:
        """The share of judges who chose p1, float32 (N,)."""
        return self.votes_by_number[indices]

    def images(self, index: int) -> dict[str, np.ndarray]:
        """The stored patches of a triplet: ref, p0 and p1, uint8 (H, W, 3)."""
        split, place = self.locate(index)
        return {name: split.arrays[name][place] for name in TWOAFC.images}

    def locate(self, index: int) -> tuple[PackedSplit, int]:
        """The split of a triplet by number, and its index there."""
        split = int(np.searchsorted(self.ends, index, side="right"))
        return self.splits[split], int(index - (self.ends[split - 1] if split else 0))


class FeatureTriplets(ImageTriplets):
    """Triplets as stored lin features.

    Args:
        splits, device, resident: as for `ImageTriplets`.
        features: the stored features of each split.
    """

    def __init__(
        self,
        splits: Sequence[PackedSplit],
        device: torch.device,
        features: Sequence[SplitFeatures],
        *,
        resident: bool = False,
    ):
        self.features, self.scale = features, features[0].scale
        super().__init__(splits, device, resident=resident)

    def _fields(self, resident: bool) -> list[ConcatenatedArrays]:
        kinds = [kind for kind in zip(*(part[:2] for part in self.features), strict=True) if kind[0] is not None]
        return [ConcatenatedArrays(arrays, self.device, resident=resident) for arrays in kinds]

    def batch(self, indices: np.ndarray) -> Batch:
        """As in `ImageTriplets`."""
        return FeatureBatch(*(self._values(field[indices]) for field in self.fields))

    def _values(self, stored: Tensor) -> Tensor:
        values = stored.float()
        return values if self.scale == 1 else values.div_(self.scale)


def keep_what_fits(device: torch.device, groups: Mapping[str, Iterable[ImageTriplets]]) -> None:
    """Keep groups of triplets in the free memory of a GPU, in this order, and log which.

    Args:
        device: the GPU; on a CPU nothing is done, since the system caches memory maps.
        groups: triplets by purpose; a group is kept whole or not at all.
    """
    if device.type != "cuda":
        return
    torch.cuda.empty_cache()  # unused memory of earlier work is also free
    left = RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]
    for what, group in groups.items():
        members = list(group)
        needed = sum(triplets.nbytes for triplets in members)
        fits = needed <= left
        how = "kept in the GPU's memory" if fits else "sent batch by batch"
        log.info("%s triplets: %.2f GB, room for %.2f GB on the GPU: %s", what, needed / 1e9, left / 1e9, how)
        if fits:
            left -= needed
            for triplets in members:
                triplets.keep_on_device()
