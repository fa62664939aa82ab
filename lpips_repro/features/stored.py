"""Features for training lin: the means that lin weights are applied to, computed once for all epochs.

With a frozen backbone the distance is linear in the lin weights: d = sum_c w_c m_c, where m_c is the spatial mean over
the H_l x W_l places of channel c's squared differences x. Dropout multiplies each x by 0 or 2 with equal probability
before the mean. So m_c keeps its expectation and gets the variance

    sum_hw x^2 / (H_l W_l)^2  =  (mean over hw of the fourth power of the differences) / (H_l W_l)

It is a sum of many independent terms. So an epoch needs only two numbers per channel and pair, m_c and the square root
of that variance, and draws m_c plus normal noise. The expectation and variance of d, and of its gradient in each w_c,
are exactly those of dropout on the maps.

The features of a split are a folder with mean.npy and (for training) noise.npy, (N, 2, sum of channels), p0 before p1,
and card.json, which is written last: see `lpips_repro.features.card`. An interrupted pass is resumed. Damaged files are
set aside and computed again.
"""

import contextlib
import copy
import io
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lpips_repro.backbones import BACKBONES
from lpips_repro.datasets.packed import IMAGE_FIELDS, PackedSplit
from lpips_repro.datasets.split import Split
from lpips_repro.devices import fixed_shapes, read_ahead
from lpips_repro.errors import UserError
from lpips_repro.features.card import folder_of, identity_of, is_as_stored, say_what_changed, write_card
from lpips_repro.features.patches import at_once, to_images
from lpips_repro.files import keep_damaged
from lpips_repro.files.locks import exclusive
from lpips_repro.metrics.lpips import LPIPS
from lpips_repro.metrics.lpips.channels import mean_over_places, squared_differences
from lpips_repro.progress import Progress
from lpips_repro.weights.state_dicts import digest_state

# Stored values are about 1/1000. Times this factor they are in the middle of the range of float16.
FLOAT16_SCALE = 4096.0
# Triplets of 64 x 64 per batch: enough to use the whole processor, few enough that maps fit its cache.
BATCH = {"cpu": 25, "cuda": 250}


class SplitFeatures(NamedTuple):
    """Stored features of a split, memory-mapped (N, 2, sum of channels), in units of 1 / scale.

    noise is None if it was not requested.
    """

    mean: np.ndarray
    noise: np.ndarray | None
    scale: float


def stored_features(
    metric: LPIPS, split: PackedSplit, root: Path, dtype: str, device: torch.device, *, noise: bool
) -> SplitFeatures:
    """The features of a 2AFC split, computed if they are not stored yet.

    Args:
        metric: the metric off the shelf, on `device`.
        split: packed triplets.
        root: the folder of all stored features.
        dtype: "float32" or "float16".
        noise: whether to also compute standard deviations under dropout.
    """
    backbone = metric.backbone
    of = backbone.name, digest_state(backbone.state_dict()), metric.version
    identity = identity_of(*of, split, dtype, device, noise)
    folder = folder_of(root, identity, split)
    if (found := _open_if_whole(folder, dtype, noise)) is None:  # complete features are read without the lock
        with exclusive(folder):
            _keep_if_damaged(folder, dtype, noise)
            _complete(metric, split, folder, identity, dtype, device, noise)
        found = _open(folder, dtype, noise)
    return found


def means_of_training(
    root: Path, backbone: str, weights: str, version: str, device: torch.device, split: Split
) -> np.ndarray | None:
    """The mean squared differences that training stored for its validation, or None if there are none to use.

    Args:
        root: the folder of all stored features.
        backbone, weights, version: the network, the digest of its parameters and the version of the metric.
        device: the device that the features were computed on; split: a packed split, of triplets if any are stored.

    Returns:
        memory-mapped float32 (N, 2, sum of channels), p0 before p1; None, with a warning, if the file has changed.
        Distances of a pass for tables differ by about 1e-6 of their value: the same function computes the means, but
        bytes are converted in other steps, in batches of another size.
    """
    folder = folder_of(root, identity_of(backbone, weights, version, split, "float32", device, noise=False), split)
    found = _open_if_whole(folder, "float32", noise=False)
    return None if found is None else found.mean


def _open_if_whole(folder: Path, dtype: str, noise: bool) -> SplitFeatures | None:
    """The features of a folder, or None if they are incomplete or damaged. Each file is read once per process."""
    files = [folder / f"{field}.npy" for field in _fields(noise)]
    if not (folder / "card.json").is_file() or not all(map(is_as_stored, files)):
        return None
    try:
        return _open(folder, dtype, noise)
    except (FileNotFoundError, ValueError, EOFError):
        return None


def _keep_if_damaged(folder: Path, dtype: str, noise: bool) -> None:
    """Set aside features that have a card and cannot be opened, under the lock."""
    card = folder / "card.json"
    if card.is_file() and _open_if_whole(folder, dtype, noise) is None:
        keep_damaged(*sorted(folder.glob("*.npy")), card, said=f"{folder}: damaged", then="computed again")


def _open(folder: Path, dtype: str, noise: bool) -> SplitFeatures:
    fields = [np.load(folder / f"{field}.npy", mmap_mode="r", allow_pickle=False) for field in _fields(noise)]
    return SplitFeatures(fields[0], fields[1] if noise else None, _scale(dtype))


def _complete(
    metric: LPIPS,
    split: PackedSplit,
    folder: Path,
    identity: dict[str, Any],
    dtype: str,
    device: torch.device,
    noise: bool,
) -> None:
    if (folder / "card.json").is_file():  # another process has completed them
        return
    say_what_changed(folder, identity)
    try:
        _compute(metric, split, folder, dtype, device, noise)
    except OSError as error:
        raise UserError(
            f"{folder}: {error.strerror}: completed rows are kept, and the next run resumes there: free some"
            " space, or set another folder with features=FOLDER"
        ) from error
    write_card(folder, identity)


def features_bytes(net: str, triplets: int, dtype: str, *, noise: bool) -> int:
    """The bytes of the features of `triplets` triplets."""
    return triplets * 2 * sum(BACKBONES[net].channels) * np.dtype(dtype).itemsize * len(_fields(noise))


def channel_statistics(metric: LPIPS, ref: Tensor, p0: Tensor, p1: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation under dropout of each channel's squared difference, each (N, 2, sum of channels).

    Args:
        metric: the metric with the backbone; ref, p0, p1: images (N, 3, H, W) in [-1, 1].
    """
    layers = [_layer_statistics(m) for m in metric.backbone.each_map(metric.preprocess((ref, p0, p1)))]
    mean, deviation = (torch.cat(parts, dim=2) for parts in zip(*layers, strict=True))
    return mean, deviation


def _layer_statistics(feature_map: Tensor) -> tuple[Tensor, Tensor]:
    """As `channel_statistics` for one layer, each (N, 2, C), from the maps of ref, p0 and p1 (3N, C, H, W)."""
    means, deviations = [], []
    for squared in squared_differences(feature_map, batches=3):
        means.append(mean_over_places(squared))
        # The factor p / (1 - p) of the variance is 1 for p = 1/2.
        variance = mean_over_places(squared.square_()) / squared.shape[1]
        deviations.append(variance.sqrt_())
    return torch.stack(means, dim=1), torch.stack(deviations, dim=1)


@torch.inference_mode()
def _compute(metric: LPIPS, split: PackedSplit, folder: Path, dtype: str, device: torch.device, noise: bool) -> None:
    shape = (len(split), 2, sum(metric.backbone.spec.channels))
    batch, row_bytes = at_once(BATCH[device.type], split), 2 * shape[2] * np.dtype(dtype).itemsize
    header = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(np.dtype(dtype))
    np.lib.format.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": shape})
    begin = header.getvalue()
    paths = [folder / f"{field}.npy" for field in _fields(noise)]
    # Files are appended to, not mapped: their length tells what is complete, and a full disk raises an error, not a
    # crash.
    done = min(_complete_rows(path, begin, row_bytes) for path in paths) // batch * batch
    metric = copy.deepcopy(metric).to(memory_format=torch.channels_last)  # convolutions are faster in it
    bar = Progress(total=len(split), initial=done, desc=f"features of {split.name}", unit="triplet")
    with contextlib.ExitStack() as stack:
        stack.enter_context(bar)
        stack.enter_context(fixed_shapes(device))
        files = [stack.enter_context(path.open("r+b" if done else "wb")) for path in paths]
        for file in files:
            if not done:
                file.write(begin)
            file.seek(len(begin) + done * row_bytes)
            file.truncate()

        def read(start: int) -> list[np.ndarray]:
            return [np.array(split.arrays[name][start : start + batch]) for name in IMAGE_FIELDS[split.card["kind"]]]

        for patches in read_ahead(read, range(done, len(split), batch)):
            images = [to_images(field, device) for field in patches]
            for file, values in zip(files, channel_statistics(metric, *images), strict=False):
                file.write((values * _scale(dtype)).cpu().numpy().astype(dtype).data)
            bar.update(len(images[0]))
        for file in files:  # on disk before the card is written
            file.flush()
            os.fsync(file.fileno())


def _complete_rows(path: Path, begin: bytes, row_bytes: int) -> int:
    """The number of complete rows of a file after its header `begin`; 0 if the header differs."""
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        is_begun = file.read(len(begin)) == begin
    return (path.stat().st_size - len(begin)) // row_bytes if is_begun else 0


def _fields(noise: bool) -> tuple[str, ...]:
    return ("mean", "noise") if noise else ("mean",)


def _scale(dtype: str) -> float:
    return FLOAT16_SCALE if dtype == "float16" else 1.0
