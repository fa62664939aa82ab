"""A folder in the BAPPS layout: its settings (`configs/data/folder.yaml`), and how it is packed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lpips_repro.config import DataSettings, Observers, Resize
from lpips_repro.config.checks import check_workers
from lpips_repro.datasets.packed import IMAGE_FIELDS, LEFTOVER, PHASES, PackedSplit
from lpips_repro.datasets.packing.folders import open_packed, pack_split, report
from lpips_repro.datasets.packing.layout import find_splits
from lpips_repro.datasets.registry import Dataset, register_dataset
from lpips_repro.files.locks import clear_leftovers, exclusive

UNKNOWN = "unknown"  # observers that the settings do not state


@dataclass
class FolderConfig(DataSettings):
    """A dataset in the BAPPS layout on this computer, under any name."""

    resize: Resize
    observers: Observers | None  # None: not stated
    packed: str
    workers: int | None

    def __post_init__(self):
        check_workers(self.workers)


@register_dataset("folder", FolderConfig)
class Folder(Dataset):
    """Packed from its files; packed again if one of them changes."""

    settings: FolderConfig

    def phases(self) -> tuple[str, ...]:
        """Those that have a folder; both if there is none."""
        root = Path(self.settings.root)
        there = [phase for phase in PHASES if any((root / kind / phase).is_dir() for kind in IMAGE_FIELDS)]
        return tuple(there) or PHASES

    def prepare(self, phases: Sequence[str]) -> list[PackedSplit]:
        """See `Dataset`."""
        return [split for phase in phases for split in self._prepare_phase(phase)]

    def _prepare_phase(self, phase: str) -> list[PackedSplit]:
        cfg, root = self.settings, Path(self.settings.root)
        # One name stands for any folder, so its path tells the packed splits apart.
        digest = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:8]
        packed = Path(cfg.packed) / cfg.name / cfg.resize.value / digest
        resize, observers = cfg.resize.value, cfg.observers.value if cfg.observers else UNKNOWN
        targets = {packed / f"{split.kind}-{split.phase}-{split.split}": split for split in find_splits(root, phase)}
        clear_leftovers(packed, LEFTOVER)
        found = {target: open_packed(split, target, resize, observers) for target, split in targets.items()}
        for target, split in found.items():
            if split:
                report(split, targets[target].path)
        if None in found.values():  # what is complete is read without the lock
            with exclusive(packed, leftovers=LEFTOVER):
                for target, split in targets.items():
                    found[target] = found[target] or pack_split(
                        split, target, resize, cfg.name, observers, self.workers
                    )
        return list(found.values())
