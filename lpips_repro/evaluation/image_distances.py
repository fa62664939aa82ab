"""Distances of whole images from their references at several sizes, computed once and kept on disk.

A CSV a method and size (image, distance), and a JSON beside it with the identity: all that the values depend on. Its
hash is part of the file name. What is there of a CSV is used: it grows by all images of a reference at a time.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lpips_repro.datasets.mos.images import DistortedImage, load_image
from lpips_repro.devices import read_ahead
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances import Distance, load_batch, measure_batch
from lpips_repro.evaluation.files import dtype_of, keep_damaged
from lpips_repro.files import write_whole

COLUMNS = "image,distance"
# At once where no batch size is given: those of 50 and of 500 patches, as for BAPPS; but two images at least.
PIXELS = {"cpu": 50 * 64**2, "cuda": 500 * 64**2}


class ImageDistanceStore:
    """The distances under a folder, a part of the images or all of them.

    Args:
        root: the folder; made when first written to.
    """

    def __init__(self, root: Path):
        self.root = root

    def load(self, label: str, identity: dict[str, Any]) -> dict[str, np.floating]:
        """The stored distances of a method by image; a damaged file is set aside with a warning, and counts as none."""
        path = self.path(label, identity)
        if not path.is_file():
            return {}
        try:
            number = dtype_of(path.with_suffix(".json")).type
            head, *lines = path.read_text().splitlines() or [""]
            if head != COLUMNS:
                raise ValueError(f"expected the columns {COLUMNS}")
            return {name: number(value) for name, value in (line.split(",") for line in lines)}
        except (OSError, ValueError) as error:
            keep_damaged(path, error)
            return {}

    def save(self, label: str, identity: dict[str, Any], distances: Mapping[str, np.floating]) -> None:
        """Write distances over those that are there."""
        path = self.path(label, identity)
        path.parent.mkdir(parents=True, exist_ok=True)
        dtype = str(next(iter(distances.values())).dtype)
        card = {**identity, "method": label, "torch": torch.__version__, "values": dtype}
        write_whole(path.with_suffix(".json"), json.dumps(card, indent=2) + "\n")
        # str of a NumPy number is the shortest text from which it is read back to the bit.
        lines = [f"{name},{value!s}" for name, value in sorted(distances.items())]
        write_whole(path, "\n".join([COLUMNS, *lines]) + "\n")

    def path(self, label: str, identity: dict[str, Any]) -> Path:
        """The CSV for this method and identity."""
        key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
        return self.root / f"size-{identity['size']}" / f"{label}-{key}.csv"


@torch.inference_mode()
def compute_reference(
    group: Sequence[DistortedImage],
    distances: Mapping[str, Distance],
    size: int,
    device: torch.device,
    batch_size: int | None = None,
) -> tuple[dict[str, dict[str, np.floating]], dict[str, str]]:
    """Run several methods over the images of a reference, with one read of them for all.

    Args:
        group: the images; distances: the methods by label.
        size: of the smaller side; device: where they run.
        batch_size: images at once, or None for what suits their size.

    Returns:
        by label the distances by image, and the reason of those that cannot take them, by label.

    Raises:
        UserError: where an image cannot be read, or is not of its reference's size.
    """
    found: dict[str, list[Tensor]] = {label: [] for label in distances}
    faults: dict[str, str] = {}
    reference = load_image(group[0].reference, size)
    height, width, _ = reference.shape
    at_once = batch_size or max(2, PIXELS[device.type] // (height * width))

    def read(start: int) -> np.ndarray:
        return np.stack([_like(reference, image, size) for image in group[start : start + at_once]])

    for distorted in read_ahead(read, range(0, len(group), at_once)):
        x, y = (load_batch(images, device) for images in (np.stack([reference] * len(distorted)), distorted))
        values, failed = _from_reference({label: distances[label] for label in found}, x, y)
        faults |= failed
        found = {label: [*found[label], part] for label, part in values.items()}
    values, names = {}, [image.name for image in group]
    for label, parts in found.items():  # only now to the host, which would wait for a GPU at every batch
        numbers = torch.cat(parts).cpu().numpy()
        if np.isnan(numbers).any():
            faults[label] = f"the distance of {names[int(np.isnan(numbers).argmax())]} is NaN"
        else:
            values[label] = dict(zip(names, numbers, strict=True))
    return values, faults


def _from_reference(
    distances: Mapping[str, Distance], x: Tensor, y: Tensor
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The distances of images y (N, 3, H, W) from x, N times their reference: two at a time, which is one of x."""
    count = len(y)
    half = (count + 1) // 2  # of an odd number the middle one comes twice
    others = (y,) if count == 1 else (y[:half], y[count - half :])
    found, faults = measure_batch(distances, (x[:half], *others))
    if count == 1:
        return {label: values[0] for label, values in found.items()}, faults
    joined = {label: torch.cat([first, second[2 * half - count :]]) for label, (first, second) in found.items()}
    return joined, faults


def _like(reference: np.ndarray, image: DistortedImage, size: int) -> np.ndarray:
    found = load_image(image.distorted, size)
    if found.shape != reference.shape:
        height, width, _ = found.shape
        raise UserError(
            f"{image.distorted}: {width} x {height} with a smaller side of {size}, but its reference"
            f" {image.reference.name} has {reference.shape[1]} x {reference.shape[0]}: restore the file"
        )
    return found
