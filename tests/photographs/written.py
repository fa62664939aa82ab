"""A small folder of pictures to learn from."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image


def write_photographs(folder: Path, count: int, size: tuple[int, int] = (90, 70)) -> list[Path]:
    """Smooth random pictures, width and height as given, in two folders and two formats; their files, sorted."""
    rng = np.random.default_rng(0)
    files = []
    for number in range(count):
        file = folder / f"class{number % 2}" / f"{number:03d}.{'png' if number % 3 else 'JPEG'}"
        file.parent.mkdir(parents=True, exist_ok=True)
        coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)).save(file)
        files.append(file)
    return sorted(files)
