"""Small datasets in the BAPPS layout, for tests."""

from pathlib import Path

import numpy as np
from PIL import Image

from lpips_repro.datasets.packed import PackedSplit, write_split

FIELDS = {"2afc": ("ref", "p0", "p1"), "jnd": ("p0", "p1")}
VOTE = {"2afc": "judge", "jnd": "same"}


def make_split(
    root: Path,
    kind: str = "2afc",
    phase: str = "val",
    split: str = "cnn",
    count: int = 5,
    seed: int = 0,
    size: int = 64,
):
    """A split of random square images and votes; returns its folder, the images by field and the votes."""
    rng = np.random.default_rng(seed)
    folder = root / kind / phase / split
    images = {}
    for field in FIELDS[kind]:
        (folder / field).mkdir(parents=True)
        images[field] = rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
        for index, image in enumerate(images[field]):
            Image.fromarray(image).save(folder / field / f"{index:06d}.png")
    votes = rng.integers(0, 6, count).astype(np.float32) / 5
    (folder / VOTE[kind]).mkdir()
    for index, vote in enumerate(votes):
        np.save(folder / VOTE[kind] / f"{index:06d}.npy", vote[None])
    return folder, images, votes


def noise_split(folder: Path, count: int, size: tuple[int, int], phase: str = "val") -> PackedSplit:
    """A packed 2AFC split of random images of this height and width."""
    rng = np.random.default_rng(0)
    arrays = {name: rng.integers(0, 256, (count, *size, 3), np.uint8) for name in FIELDS["2afc"]}
    card = {"kind": "2afc", "phase": phase, "split": "noise", "dataset": "noise", "resize": "none"}
    return write_split(folder, arrays | {"judge": np.zeros(count, np.float32)}, card | {"observers": "simulated"})
