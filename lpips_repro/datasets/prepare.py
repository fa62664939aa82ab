"""From a dataset's settings to its packed splits."""

import contextlib
import hashlib
from pathlib import Path

from lpips_repro.config import BappsConfig, FolderConfig, MiniConfig, Tid2013Config
from lpips_repro.datasets.bapps import check_room, prepare_bapps
from lpips_repro.datasets.layout import find_splits
from lpips_repro.datasets.lock import clear_leftovers, exclusive
from lpips_repro.datasets.mini import build_mini, is_complete
from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.datasets.packing import open_packed, pack_split, report
from lpips_repro.errors import UserError
from lpips_repro.parallel import available_cores

# By default: each takes some 50 MB and what it is working on.
MOST_WORKERS = 8
UNKNOWN = "unknown"  # observers that the settings do not state


def prepare(data: FolderConfig | MiniConfig | Tid2013Config, *phases: str) -> list[PackedSplit]:
    """The packed splits of phases ("train", "val"), 2AFC first in each; whatever is missing or has changed is made.

    Raises:
        UserError: where the dataset is not there or a file of it is at fault, or it has no splits.
    """
    if isinstance(data, Tid2013Config):
        raise UserError(
            "data=tid2013: TID2013 has mean opinion scores of whole images, and no splits of judged patches: it is for"
            " `make eval-tables DATA=tid2013` alone: use DATA=bapps, mini or folder"
        )
    workers = data.workers or min(available_cores(), MOST_WORKERS)
    if isinstance(data, MiniConfig):
        made = {key: getattr(data, key) for key in ("train", "val", "jnd", "autoencoders", "autoencoder_steps")}
        # Other settings are another dataset beside this one.
        settings = hashlib.sha256(repr(sorted(made.items())).encode()).hexdigest()[:8]
        root = Path(data.root) / f"seed{data.seed}-{settings}"
        clear_leftovers(root)
        # What is complete is read without the lock.
        with contextlib.nullcontext() if is_complete(root, seed=data.seed, **made) else exclusive(root):
            splits = build_mini(root, seed=data.seed, workers=workers, **made)
        return [split for phase in phases for split in splits if split.card["phase"] == phase]
    if isinstance(data, BappsConfig):
        check_room(data, phases)  # for all of them, before the first is fetched
        return [split for phase in phases for split in prepare_bapps(data, phase, workers)]
    return [split for phase in phases for split in _prepare_folder(data, phase, workers)]


def _prepare_folder(data: FolderConfig, phase: str, workers: int) -> list[PackedSplit]:
    root = Path(data.root)
    # One name stands for any folder, so its path tells the packed splits apart.
    digest = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:8]
    packed = Path(data.packed) / data.name / data.resize.value / digest
    resize, observers = data.resize.value, data.observers.value if data.observers else UNKNOWN
    targets = {packed / f"{split.kind}-{split.phase}-{split.split}": split for split in find_splits(root, phase)}
    clear_leftovers(packed)
    found = {target: open_packed(split, target, resize, observers) for target, split in targets.items()}
    for target, split in found.items():
        if split:
            report(split, targets[target].path)
    if None in found.values():  # what is complete is read without the lock
        with exclusive(packed):
            for target, split in targets.items():
                found[target] = found[target] or pack_split(split, target, resize, data.name, observers, workers)
    return list(found.values())
