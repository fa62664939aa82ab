"""lin on stored features: what the lin weights are applied to, computed once for all epochs.

With a frozen backbone the distance is linear in the lin weights, d = sum_c w_c m_c, where m_c is the spatial mean over
the H_l x W_l places of channel c's squared differences x. Dropout multiplies each x by 0 or 2 with equal chance
before the mean: m_c keeps its expectation and gets the variance

    sum_hw x^2 / (H_l W_l)^2  =  (mean over hw of the fourth power of the differences) / (H_l W_l)

and is a sum of many independent terms. So an epoch needs only two numbers a channel and pair, m_c and the square root
of that variance, and draws m_c plus normal noise: d, and its gradient in every w_c, have exactly the expectation and
the variance that dropout on the maps gives them.

A split's features are a folder: mean.npy and (for training) noise.npy, (N, 2, sum of channels), p0 before p1; and
card.json, the identity, written last. What an interrupted pass had done is gone on from.
"""

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from lpips_repro.backbones import BACKBONES, Backbone
from lpips_repro.backbones.weights import digest_state
from lpips_repro.datasets.lock import exclusive
from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.evaluation.methods import code_version
from lpips_repro.metrics.lpips import LPIPS
from lpips_repro.training.triplets import SplitFeatures, to_images

log = logging.getLogger(__name__)

# Stored values are about 1/1000; times this they are in the middle of what float16 can hold.
FLOAT16_SCALE = 4096.0
# Triplets at once: enough to fill the processor, few enough for maps that stay near it.
BATCH = {"cpu": 50, "cuda": 250}


def stored_features(
    metric: LPIPS, split: PackedSplit, root: Path, dtype: str, device: torch.device, *, noise: bool
) -> SplitFeatures:
    """The features of a 2AFC split, computed where they are not stored yet.

    Args:
        metric: the distance off the shelf, on `device`.
        split: packed triplets.
        root: folder of all stored features.
        dtype: "float32" or "float16".
        noise: whether the standard deviations under dropout are wanted too.
    """
    identity = _identity(metric, split, dtype, device, noise)
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    name = f"{metric.backbone.name}-v{metric.version}-{split.name.replace('/', '-')}-{digest}"
    folder = root / split.card["dataset"] / name
    with exclusive(folder):
        if not (folder / "card.json").is_file():
            _compute(metric, split, folder, dtype, device, noise)
            (folder / ".card.json").write_text(json.dumps(identity, indent=2) + "\n")
            (folder / ".card.json").replace(folder / "card.json")
    fields = [np.load(folder / f"{field}.npy", mmap_mode="r", allow_pickle=False) for field in _fields(noise)]
    return SplitFeatures(fields[0], fields[1] if noise else None, _scale(dtype))


def features_bytes(net: str, triplets: int, dtype: str, *, noise: bool) -> int:
    """How many bytes the features of so many triplets take."""
    return triplets * 2 * sum(BACKBONES[net].channels) * np.dtype(dtype).itemsize * len(_fields(noise))


def channel_statistics(metric: LPIPS, ref: Tensor, p0: Tensor, p1: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation under dropout of every channel's squared difference, (N, 2, sum of channels) each.

    Args:
        metric: gives the feature maps; ref, p0, p1: images (N, 3, H, W) in [-1, 1].
    """
    means, deviations = [], []
    for f, *others in zip(*metric.unit_feature_maps((ref, p0, p1)), strict=True):
        squared = [(f - other).square() for other in others]
        means.append(torch.stack([x.mean(dim=(2, 3)) for x in squared], dim=1))
        # The factor p / (1 - p) of the variance is 1 for the dropout of one half.
        norms = [torch.linalg.vector_norm(x, dim=(2, 3)) for x in squared]
        deviations.append(torch.stack(norms, dim=1) / f[0, 0].numel())
    return torch.cat(means, dim=2), torch.cat(deviations, dim=2)


@torch.inference_mode()
def _compute(metric: LPIPS, split: PackedSplit, folder: Path, dtype: str, device: torch.device, noise: bool) -> None:
    shape = (len(split), 2, sum(metric.backbone.spec.channels))
    progress = folder / "done.json"  # how many triplets are complete on disk, after a kill -9 too
    begun = progress.is_file()
    files = [folder / f"{field}.npy" for field in _fields(noise)]
    modes = {"mode": "r+"} if begun else {"mode": "w+", "dtype": dtype, "shape": shape}
    arrays = [np.lib.format.open_memmap(file, **modes) for file in files]
    done = json.loads(progress.read_text()) if begun else 0
    metric = metric.to(memory_format=torch.channels_last)  # in which convolutions are faster
    batch = BATCH[device.type]
    bar = tqdm(total=len(split), initial=done, desc=f"features of {split.name}", unit="triplet", disable=None)
    with bar:
        for start in range(done, len(split), batch):
            part = slice(start, start + batch)
            images = [to_images(split.arrays[name][part], device) for name in ("ref", "p0", "p1")]
            for array, values in zip(arrays, channel_statistics(metric, *images), strict=False):
                array[part] = (values * _scale(dtype)).cpu().numpy()
            partial = progress.with_suffix(f".{os.getpid()}")
            partial.write_text(json.dumps(min(start + batch, len(split))))
            partial.replace(progress)
            bar.update(len(images[0]))
    for array in arrays:
        array.flush()


def _identity(metric: LPIPS, split: PackedSplit, dtype: str, device: torch.device, noise: bool) -> dict[str, Any]:
    """All that the values depend on."""
    return {
        "backbone": metric.backbone.name,
        "weights": digest_state(metric.backbone.state_dict()),
        "version": metric.version,
        "split": split.name,
        "split_digest": split.card["digest"],
        "resize": split.card["resize"],
        "dtype": dtype,
        "noise": noise,
        "device": device.type,
        "code": code_version(LPIPS, Backbone, BACKBONES[metric.backbone.name].layers, channel_statistics),
    }


def _fields(noise: bool) -> tuple[str, ...]:
    return ("mean", "noise") if noise else ("mean",)


def _scale(dtype: str) -> float:
    return FLOAT16_SCALE if dtype == "float16" else 1.0
