"""Inputs of the benchmarks: random images and splits, and available weights. Their values do not change the times."""

import contextlib
import functools
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lpips_repro.backbones import BACKBONES, gaussian_state
from lpips_repro.datasets.folder import PATCH_SIZE
from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.metrics.lpips import LPIPS
from lpips_repro.metrics.lpips.released import lin_key
from lpips_repro.weights.folder import WeightsNotFoundError
from lpips_repro.weights.imagenet import imagenet_state
from lpips_repro.weights.official_lin import official_lin_state

# Number of triplets written at once.
BLOCK = 1000


@functools.lru_cache(1)
def backbone_weights(net: str) -> dict[str, Tensor]:
    """Return the ImageNet weights of a network, or Gaussian ones if these are not available."""
    try:
        return imagenet_state(net, download=False)
    except WeightsNotFoundError:
        return gaussian_state(net, 0)


def lpips_metric(net: str, version: str = "0.1", variant: str = "lin", *, lin_seed: int | None = None) -> LPIPS:
    """Return the metric with official lin weights, or random ones if these are not available or a seed is given."""
    if variant == "off_the_shelf":
        return LPIPS(net, variant, version, weights=backbone_weights(net))
    lin = _random_lin_state(net, lin_seed or 0)
    if lin_seed is None:
        with contextlib.suppress(WeightsNotFoundError):
            lin = official_lin_state(net, version, download=False)
    return LPIPS(net, variant, version, weights=backbone_weights(net), lin_weights=lin)


def _random_lin_state(net: str, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    channels = enumerate(BACKBONES[net].channels)
    return {lin_key(layer): torch.rand(1, count, 1, 1, generator=generator) for layer, count in channels}


def noise_triplet(count: int, device: torch.device) -> tuple[Tensor, ...]:
    """Return ref, p0 and p1: random images (count, 3, 64, 64) in [-1, 1]."""
    generator = torch.Generator().manual_seed(0)
    return tuple((2 * torch.rand(3, count, 3, PATCH_SIZE, PATCH_SIZE, generator=generator) - 1).to(device))


def noise_split(folder: Path, count: int) -> PackedSplit:
    """Write a packed 2AFC split of random triplets to a new folder, without a card file, whose digest takes long."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    arrays = {}
    for name in TWOAFC.images:
        shape = (count, PATCH_SIZE, PATCH_SIZE, 3)
        file = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.uint8, shape)
        for start in range(0, count, BLOCK):
            file[start : start + BLOCK] = rng.integers(0, 256, file[start : start + BLOCK].shape, np.uint8)
        file.flush()
        arrays[name] = np.load(folder / f"{name}.npy", mmap_mode="r")
    card: dict[str, Any] = {"kind": TWOAFC.kind, "phase": "val", "split": "noise", "dataset": "noise", "resize": "none"}
    card |= {"observers": "simulated", "digest": f"noise of {count}", "count": count}
    return PackedSplit(folder, card, arrays | {"judge": rng.random(count, np.float32)})
