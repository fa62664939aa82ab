"""A small folder of training pictures."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from lpips_repro.photographs.crops import Crops, crop_photograph, crops_of_each, split_photographs


def write_photographs(folder: Path, count: int, size: tuple[int, int] = (90, 70)) -> list[Path]:
    """Write smooth random pictures of a width and height, in two folders and two formats; return the sorted files."""
    rng = np.random.default_rng(0)
    files = []
    for number in range(count):
        file = folder / f"class{number % 2}" / f"{number:03d}.{'png' if number % 3 else 'JPEG'}"
        file.parent.mkdir(parents=True, exist_ok=True)
        coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)).save(file)
        files.append(file)
    return sorted(files)


def load_crops(folder: Path, size: int) -> Crops:
    """The crops of a folder in memory. All photographs must be usable."""
    crops, digests = {}, []
    for phase, files in split_photographs(folder).items():
        each = crops_of_each(phase, files)
        crops[phase] = np.concatenate([crop_photograph(file, size, each, at) for at, file in enumerate(files)])
        digests += [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    return Crops(crops["train"], crops["held_out"], hashlib.sha256("\n".join(digests).encode()).hexdigest())
