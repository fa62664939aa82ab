"""The error of bfloat16 in the distances of images that are nearly the same.

    python -m lpips_repro.benchmark.near_pairs FOLDER [--nets alex squeeze]

FOLDER holds PNGs, such as `2afc/val/cnn/ref` of BAPPS. Each patch is compared with two copies of it with Gaussian noise
of the same level, rounded to gray levels. Distances are computed in float32, and with the backbone in bfloat16. Printed
per level, over five draws: the shift of the distance (median, and 5 to 95 % of the pairs), and the share of patches for
which the nearer copy changes with bfloat16.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lpips_repro.datasets.folder import PATCH_SIZE
from lpips_repro.datasets.packing.patches import PatchForm, load_patch
from lpips_repro.metrics.lpips import LPIPS

LEVELS = (0.5, 1, 2, 4, 8, 16)  # standard deviations, in gray levels
DRAWS = 5


def shift_and_changes(
    metric: LPIPS, patches: np.ndarray, level: float, rng: np.random.Generator
) -> tuple[Tensor, float]:
    """Return the relative shifts of all distances in bfloat16, and the share of triplets whose nearer copy changes.

    Args:
        metric: metric in float32.
        patches: uint8 (N, 64, 64, 3).
        level: standard deviation of the noise, in gray levels.
    """
    rough, shifts, changed = metric.optimized(torch.bfloat16, compiled=False), [], []
    for _ in range(DRAWS):
        noisy = [np.clip(np.rint(patches + rng.normal(0, level, patches.shape)), 0, 255) for _ in range(2)]
        ref, p0, p1 = (torch.from_numpy(each).permute(0, 3, 1, 2).float() / 255 for each in (patches, *noisy))
        exact, other = (torch.stack(each.triplet(ref, p0, p1, normalize=True)) for each in (metric, rough))
        shifts.append((other / exact - 1).flatten())
        changed.append((exact[0] < exact[1]) != (other[0] < other[1]))
    return torch.cat(shifts), torch.cat(changed).float().mean().item()


def main() -> None:
    """Print a line per network and level."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--nets", nargs="+", default=["alex", "squeeze"])
    options = parser.parse_args()
    form = PatchForm(PATCH_SIZE, "pil_bilinear")
    patches = np.stack([load_patch(file, form)[0] for file in sorted(options.folder.glob("*.png"))])
    print(f"{len(patches)} patches, {DRAWS} draws")
    rng = np.random.default_rng(0)
    for net in options.nets:
        metric = LPIPS(net)
        for level in LEVELS:
            shifts, changed = shift_and_changes(metric, patches, level, rng)
            low, middle, high = (100 * shifts.quantile(torch.tensor((0.05, 0.5, 0.95)))).tolist()
            shift = f"shift {middle:+.1f} % ({low:+.0f} to {high:+.0f} %)"
            print(f"{net}, noise {level:g}: {shift}, changed {100 * changed:.1f} %")


if __name__ == "__main__":
    main()
