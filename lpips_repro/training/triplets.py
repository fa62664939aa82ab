"""The triplets of several splits as one numbered collection that gives batches by number: images, or lin features."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lpips_repro.datasets.packed import IMAGE_FIELDS, PackedSplit
from lpips_repro.training.model import RankingModel


class SplitFeatures(NamedTuple):
    """Stored lin features of a split, memory-mapped (N, 2, sum of channels), in units of 1 / scale.

    See `lpips_repro.training.features`; noise only where it was asked for.
    """

    mean: np.ndarray
    noise: np.ndarray | None
    scale: float


def to_images(patches: np.ndarray, device: torch.device) -> Tensor:
    """Stored patches, uint8 (N, 64, 64, 3), as float32 images (N, 3, 64, 64) in [-1, 1] on a device, channels last."""
    # Sent as bytes, a quarter of the floats; the copy takes them out of the memory map.
    return torch.from_numpy(np.array(patches)).to(device).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


class ImageTriplets:
    """Triplets as images.

    Args:
        splits: packed 2AFC splits, numbered through in this order.
        device: where batches go.
    """

    def __init__(self, splits: Sequence[PackedSplit], device: torch.device):
        self.splits, self.device = splits, device
        self.ends = np.cumsum([len(split) for split in splits])
        self.judge = np.concatenate([split.votes for split in splits])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def distances(
        self, model: RankingModel, indices: np.ndarray, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """The model's distances of p0 and p1 in the triplets numbered; generator: as in `RankingModel.distances`."""
        images = (
            gather([split.arrays[name] for split in self.splits], self.ends, indices) for name in IMAGE_FIELDS["2afc"]
        )
        return model.distances(*(to_images(patches, self.device) for patches in images), generator)

    def votes(self, indices: np.ndarray) -> Tensor:
        """The share of judges who chose p1, float32 (N,)."""
        return torch.from_numpy(self.judge[indices]).to(self.device)

    def images(self, index: int) -> dict[str, np.ndarray]:
        """The stored patches of a triplet: ref, p0, p1, uint8 (64, 64, 3)."""
        split, place = self.locate(index)
        return {name: split.arrays[name][place] for name in IMAGE_FIELDS["2afc"]}

    def locate(self, index: int) -> tuple[PackedSplit, int]:
        """The split of a numbered triplet, and its number there."""
        split = int(np.searchsorted(self.ends, index, side="right"))
        return self.splits[split], int(index - (self.ends[split - 1] if split else 0))


class FeatureTriplets(ImageTriplets):
    """Triplets as stored lin features.

    Args:
        splits, device: as for `ImageTriplets`.
        features: the stored features of each split.
    """

    def __init__(self, splits: Sequence[PackedSplit], device: torch.device, features: Sequence[SplitFeatures]):
        super().__init__(splits, device)
        self.features = features
        self.scale = features[0].scale

    def distances(
        self, model: RankingModel, indices: np.ndarray, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """As of `ImageTriplets`."""
        mean = self._gather([part.mean for part in self.features], indices)
        noise = None if generator is None else self._gather([part.noise for part in self.features], indices)
        return model.distances_from_features(mean, noise, generator)

    def _gather(self, arrays: Sequence[np.ndarray], indices: np.ndarray) -> Tensor:
        values = torch.from_numpy(gather(arrays, self.ends, indices)).to(self.device).float()
        return values if self.scale == 1 else values.div_(self.scale)


def gather(arrays: Sequence[np.ndarray], ends: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """The rows numbered through several arrays, of which `ends` has the cumulative lengths."""
    out = np.empty((len(indices), *arrays[0].shape[1:]), arrays[0].dtype)
    which = np.searchsorted(ends, indices, side="right")
    for number, array in enumerate(arrays):
        chosen = which == number
        start = ends[number - 1] if number else 0
        out[chosen] = array[indices[chosen] - start]
    return out
