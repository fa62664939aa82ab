"""Write the distances of a metric of pyiqa, for a row of the tables.

The license of pyiqa (PolyForm Noncommercial) does not suit a dependency. So pyiqa runs in its own environment:

    python -m venv pyiqa-env && pyiqa-env/bin/pip install pyiqa
    pyiqa-env/bin/python examples/pyiqa_distances.py topiq_fr distances/topiq data/packed/bapps/pil_bilinear/2afc-val-*

This writes a CSV file per packed split. With these lines in `configs/metric/topiq.yaml`, `metric=[topiq]` is a row:

    topiq:
      distances: distances/topiq
"""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pyiqa
import torch

BATCH = 50
# By kind of split: the reference, and the images that are compared with it, by the column of their distances.
IMAGES = {"2afc": ("ref", {"d0": "p0", "d1": "p1"}), "jnd": ("p0", {"d": "p1"})}


def main(name: str, output: Path, splits: list[Path]) -> None:
    """Write a CSV file per split, with the distances of its images from their references, in order."""
    metric = pyiqa.create_metric(name, device=torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    if metric.metric_mode != "FR":
        sys.exit(f"{name}: does not compare images: expected one of {', '.join(pyiqa.list_models('FR'))}")
    output.mkdir(parents=True, exist_ok=True)
    for split in splits:
        card = json.loads((split / "card.json").read_text())
        reference, columns = IMAGES[card["kind"]]
        found = [distances(metric, split / f"{image}.npy", split / f"{reference}.npy") for image in columns.values()]
        file = output / f"{card['kind']}-{card['phase']}-{card['split']}.csv"
        with file.open("w", newline="") as lines:
            csv.writer(lines).writerows([["index", *columns], *zip(range(card["count"]), *found, strict=True)])
        print(f"{file}: {card['count']} examples")


@torch.no_grad()
def distances(metric: torch.nn.Module, images: Path, references: Path) -> list[float]:
    """The N distances between images uint8 (N, H, W, 3) of two files; larger means less similar."""
    pair = [np.load(file, mmap_mode="r") for file in (images, references)]
    found: list[float] = []
    for start in range(0, len(pair[0]), BATCH):
        batch = [torch.from_numpy(np.array(each[start : start + BATCH])).permute(0, 3, 1, 2) / 255 for each in pair]
        found += metric(*batch).flatten().tolist()
    return found if metric.lower_better else [-value for value in found]


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), [Path(split) for split in sys.argv[3:]])
