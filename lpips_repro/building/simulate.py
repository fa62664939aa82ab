"""`make simulate`: add simulated judgments to the splits of a folder that have no judgments, and label them.

The judgments come from the mini dataset's simulated observers and say nothing about human vision. They are written to
the folders of votes of the BAPPS layout, with a file that labels them: see `lpips_repro.datasets.packing.observers`.
"""

import io
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from lpips_repro.building.durable_files import flush
from lpips_repro.config import parse
from lpips_repro.config.building import SimulateConfig
from lpips_repro.datasets.mini.build import NOTE
from lpips_repro.datasets.mini.examples import make_generator
from lpips_repro.datasets.mini.observers import choose_probability, perceptual_distance, same_probability, vote
from lpips_repro.datasets.packed import IMAGE_FIELDS, PHASES, VOTE_FIELD
from lpips_repro.datasets.packing.layout import SplitFolder, find_splits
from lpips_repro.datasets.packing.observers import LABEL
from lpips_repro.errors import UserError
from lpips_repro.files import naming, read_json
from lpips_repro.files.locks import exclusive
from lpips_repro.images import read_rgb
from lpips_repro.progress import Progress

log = logging.getLogger(__name__)

BATCH = 100  # examples that are judged at once
LEAST_SIZE = 16  # pixels per side: the least for the observers' image pyramid


def simulate(composed: DictConfig) -> None:
    """Write simulated judgments for all splits of a folder (`configs/simulate.yaml`).

    Raises:
        UserError: if there is no split, if an image cannot be judged, or if a split has other judgments.
    """
    cfg = parse(composed, SimulateConfig)
    root = Path(cfg.out)
    splits = _splits(root)
    missing = _without_judgments(cfg, splits)
    if missing:  # otherwise no lock is needed, and the disk may be read-only
        with exclusive(root):
            splits = _splits(root)  # includes those that another process was making
            missing = _without_judgments(cfg, splits)
            for split in missing:
                _judge(cfg, split)
    print(f"{root}: {len(missing)} of {len(splits)} splits judged now. {NOTE}")


def _splits(root: Path) -> list[SplitFolder]:
    phases = [phase for phase in PHASES if any((root / kind / phase).is_dir() for kind in IMAGE_FIELDS)]
    return [split for phase in phases or PHASES for split in find_splits(root, phase, judged=False)]


def _without_judgments(cfg: SimulateConfig, splits: list[SplitFolder]) -> list[SplitFolder]:
    return [split for split in splits if not _is_judged(split, _label(cfg, split))]


def _label(cfg: SimulateConfig, split: SplitFolder) -> dict[str, Any]:
    votes = cfg.jnd_votes if split.kind == "jnd" else cfg.train_votes if split.phase == "train" else cfg.val_votes
    return {"observers": "simulated", "votes": votes, "seed": cfg.seed, "note": NOTE}


def _is_judged(split: SplitFolder, label: dict[str, Any]) -> bool:
    """Whether a split has exactly these judgments; raises UserError if it has others."""
    votes = split.path / VOTE_FIELD[split.kind]
    if not votes.exists():
        return False
    try:
        found = read_json(votes / LABEL)
    except (OSError, ValueError):
        found = None
    if found != label:
        raise UserError(
            f"{votes}: already holds judgments, which differ from those of this command: to simulate others, move the"
            " folder elsewhere"
        )
    return True


def _judge(cfg: SimulateConfig, split: SplitFolder) -> None:
    """Write the folder of votes of a split, complete or not at all."""
    label = _label(cfg, split)
    field = VOTE_FIELD[split.kind]
    partial = split.path / f".{field}.partial"
    shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
    partial.mkdir()
    name = f"{split.kind}-{split.phase}-{split.split}"
    shares = vote(_probability(split), label["votes"], make_generator(cfg.seed, f"votes {name}"))
    with naming(split.path / field):
        for example, share in zip(split.names, shares, strict=True):
            content = io.BytesIO()
            np.save(content, share[None], allow_pickle=False)
            (partial / f"{example}.npy").write_bytes(content.getvalue())
        (partial / LABEL).write_text(json.dumps(label, indent=2) + "\n")
        # Otherwise, the folder could count as complete after a power failure without its votes.
        flush([*partial.iterdir()])
    partial.rename(split.path / field)
    flush([split.path / field])
    log.info("%s: %d simulated judgments", split.path, len(shares))


def _probability(split: SplitFolder) -> np.ndarray:
    """The probability of choosing p1 (2AFC) or answering "same" (JND), for each example."""
    distances = []
    shape = read_rgb(split.image(IMAGE_FIELDS[split.kind][0], split.names[0])).shape
    with Progress(total=len(split.names), desc=f"judging {split.path}", unit="example") as bar:
        for start in range(0, len(split.names), BATCH):
            names = split.names[start : start + BATCH]
            ref, *others = (_read(split, field, names, shape) for field in IMAGE_FIELDS[split.kind])
            distances.append([perceptual_distance(ref, other) for other in others])
            bar.update(len(names))
    columns = np.concatenate(distances, axis=1)
    return same_probability(columns[0]) if split.kind == "jnd" else choose_probability(*columns)


def _read(split: SplitFolder, field: str, names: tuple[str, ...], shape: tuple[int, ...]) -> np.ndarray:
    """The images of a field, uint8 (N, H, W, 3); raises UserError if one does not have the given shape (H, W, 3)."""
    images = [read_rgb(split.image(field, name)) for name in names]
    for name, image in zip(names, images, strict=True):
        if image.dtype != np.uint8 or image.shape != shape or min(image.shape[:2]) < LEAST_SIZE:
            height, width, _ = image.shape
            raise UserError(
                f"{split.image(field, name)}: {image.dtype} {width} x {height}: expected 8 bits per channel, one size"
                f" per split (its first image is {shape[1]} x {shape[0]}) and at least {LEAST_SIZE} pixels per side"
            )
    return np.stack(images)
