"""Images, weights and judgments by formula. They are the same on every computer, so tests can record values of them."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lpips_repro.backbones import gaussian_state


def formula_images() -> list[Tensor]:
    """A smooth reference, a copy with texture, and a shifted copy: (1, 3, 64, 64), whole gray levels divided by 255."""
    c, y, x = np.meshgrid(np.arange(3), np.arange(64), np.arange(64), indexing="ij")

    def waves(y, x):
        return np.sin(0.11 * (c + 1) * y + 0.07 * x + c)

    textured = 0.8 * waves(y, x) + 0.2 * np.cos(0.013 * y * x)
    made = (np.rint(127.5 + 127.5 * values) for values in (waves(y, x), textured, waves(y + 2, x - 1)))
    return [torch.from_numpy(levels / 255).float()[None] for levels in made]


def formula_state(net: str) -> dict[str, Tensor]:
    """The state of a network: cosines as weights, scaled so that feature maps keep their size, and small biases."""
    state = {}
    for number, (key, value) in enumerate(gaussian_state(net, 0).items()):
        wave = np.cos(1.7 * np.arange(value.numel()) ** 1.1 + number)
        scale = 2 / value[0].numel() ** 0.5 if value.ndim > 1 else 0.1
        state[key] = torch.from_numpy(scale * wave).float().view(value.shape)
    return state


def judged_triplets(count: int = 84) -> list[tuple[int, int, int]]:
    """Triplets by formula: the gray levels from the reference to p0 and to p1, and how many of five chose p1."""
    return [(i % 7, 2 * (i % 4), i % 6) for i in range(count)]


def judged_pairs(count: int = 30) -> list[tuple[int, int]]:
    """Pairs by formula: their difference in gray levels, which is unique, and how many of three said "same"."""
    return [(7 * i % count, i % 4) for i in range(count)]


def write_judged(root: Path) -> None:
    """Write a dataset of flat images in the BAPPS layout, with these judgments."""

    def write(folder: Path, index: int, shifts: dict[str, int], vote: str, share: float) -> None:
        for field, shift in shifts.items():
            (folder / field).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (64, 64), (100 + shift,) * 3).save(folder / field / f"{index:06d}.png")
        (folder / vote).mkdir(exist_ok=True)
        np.save(folder / vote / f"{index:06d}.npy", np.float32([share]))

    for index, (to_p0, to_p1, votes) in enumerate(judged_triplets()):
        write(root / "2afc/val/flat", index, {"ref": 0, "p0": to_p0, "p1": to_p1}, "judge", votes / 5)
    for index, (apart, votes) in enumerate(judged_pairs()):
        write(root / "jnd/val/flat", index, {"p0": 0, "p1": apart}, "same", votes / 3)
