"""From the database to a dataset in the BAPPS layout, which training and evaluation read.

OUT/2afc/val/SPLIT/{ref,p0,p1}/NAME.png    copies of the dataset's images
OUT/2afc/val/SPLIT/judge/NAME.npy          share of the judgments that chose p1
OUT/2afc/val/SPLIT/judge/votes.csv         of each example, the number of judgments and how many chose p1
OUT/2afc/val/SPLIT/judge/observers.json    who judged: "human" or "simulated"
OUT/agreement.json                         how far workers agree, and the human ceiling
"""

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from omegaconf import OmegaConf

from lpips_repro.collect.progress import counted, of_splits
from lpips_repro.collect.settings import CollectConfig
from lpips_repro.collect.study import OpenStudy
from lpips_repro.config import DatasetConfig, Splits, parse
from lpips_repro.config.paths import CONFIGS
from lpips_repro.datasets.packed import IMAGE_FIELDS, VOTE_FIELD
from lpips_repro.datasets.packing.observers import LABEL
from lpips_repro.datasets.registry import dataset_of
from lpips_repro.datasets.split import Split
from lpips_repro.errors import UserError
from lpips_repro.files import naming, sync

VOTES, AGREEMENT = "votes.csv", "agreement.json"


class Judged(NamedTuple):
    """An example with the number of its judgments that count, and how many of these are 1."""

    kind: str
    phase: str
    split: str
    name: str
    judged: int
    yes: int

    @property
    def folder(self) -> str:
        """Of its split, in the dataset."""
        return f"{self.kind}/{self.phase}/{self.split}"


def write_dataset(study: OpenStudy, out: Path) -> list[Judged]:
    """Write the examples that have judgments as a whole; returns them.

    Raises:
        UserError: if there is none, or something is at `out`.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"out={out}: exists: set out=NEW, to a folder that does not exist")
    with study.store.read() as transaction:
        rows = [
            Judged(item.kind, item.phase, item.split, item.name, judged, yes)
            for item, judged, yes in transaction.execute(counted(study))
            if judged
        ]
        if not rows:
            raise UserError(
                f"name={study.cfg.name}: no judgment that counts yet: sessions count once they are finished"
            )
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
    with naming(out):
        for folder in dict.fromkeys(row.folder for row in rows):
            _write_split(study, partial, [row for row in rows if row.folder == folder])
        (partial / AGREEMENT).write_text(json.dumps(of_splits(study), indent=2) + "\n")
        for path in partial.rglob("*"):
            sync(path)
    if out.exists():
        out.rmdir()
    partial.rename(out)
    return rows


def _write_split(study: OpenStudy, root: Path, rows: Sequence[Judged]) -> None:
    kind, source, target = rows[0].kind, study.examples.root / rows[0].folder, root / rows[0].folder
    for field in IMAGE_FIELDS[kind]:
        (target / field).mkdir(parents=True)
        for row in rows:
            shutil.copyfile(source / field / f"{row.name}.png", target / field / f"{row.name}.png")
    votes = target / VOTE_FIELD[kind]
    votes.mkdir()
    for row in rows:
        np.save(votes / f"{row.name}.npy", np.array([row.yes / row.judged], np.float32))
    with (votes / VOTES).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("name", "judgments", "p1" if kind == "2afc" else "same"))
        writer.writerows((row.name, row.judged, row.yes) for row in rows)
    label = {"observers": study.observers, "study": study.cfg.name}
    (votes / LABEL).write_text(json.dumps(label, indent=2) + "\n")


def pack(cfg: CollectConfig, out: Path) -> list[Split]:
    """The packed splits of a dataset that was exported, as `DATA=folder` makes and finds them."""
    data: Any = OmegaConf.load(CONFIGS / "data" / "folder.yaml")
    data.update({"root": str(out), "size": cfg.size, "resize": cfg.resize.value, "packed": cfg.packed})
    whole = OmegaConf.create({"data": data, "splits": Splits.all.value, "experiments": "experiments"})
    dataset = dataset_of(parse(whole, DatasetConfig).data)
    return [*dataset.prepare(dataset.phases())]
