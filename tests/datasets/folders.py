"""Small datasets in the BAPPS layout, for tests."""

from pathlib import Path

import numpy as np
from PIL import Image

FIELDS = {"2afc": ("ref", "p0", "p1"), "jnd": ("p0", "p1")}
VOTE = {"2afc": "judge", "jnd": "same"}


def make_split(root: Path, kind: str = "2afc", phase: str = "val", split: str = "cnn", count: int = 5, seed: int = 0):
    """A split of random 64x64 images and votes; returns its folder, the images by field and the votes."""
    rng = np.random.default_rng(seed)
    folder = root / kind / phase / split
    images = {}
    for field in FIELDS[kind]:
        (folder / field).mkdir(parents=True)
        images[field] = rng.integers(0, 256, (count, 64, 64, 3), dtype=np.uint8)
        for index, image in enumerate(images[field]):
            Image.fromarray(image).save(folder / field / f"{index:06d}.png")
    votes = rng.integers(0, 6, count).astype(np.float32) / 5
    (folder / VOTE[kind]).mkdir()
    for index, vote in enumerate(votes):
        np.save(folder / VOTE[kind] / f"{index:06d}.npy", vote[None])
    return folder, images, votes
