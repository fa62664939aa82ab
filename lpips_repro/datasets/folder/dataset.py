"""A folder in the BAPPS layout as a dataset: its settings (`configs/data/folder.yaml`), and packing."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lpips_repro.config import DataSettings, Observers, Resize
from lpips_repro.config.checks import check_at_least, check_workers
from lpips_repro.datasets.packed import IMAGE_FIELDS, PHASES, PackedSplit, leftovers
from lpips_repro.datasets.packing.folders import open_packed, pack_split, report
from lpips_repro.datasets.packing.layout import SplitFolder, find_splits
from lpips_repro.datasets.packing.observers import observers_of
from lpips_repro.datasets.packing.patches import PatchForm
from lpips_repro.datasets.registry import Dataset, register_dataset
from lpips_repro.files.locks import clear_leftovers, exclusive

PATCH_SIZE = 64  # of BAPPS, in pixels


@dataclass
class FolderConfig(DataSettings):
    """The settings of a dataset in the BAPPS layout on this computer.

    Attributes:
        size: side of its patches in pixels; resize: how images that are stored larger are resized to it.
        observers: who judged; None: as labeled in the folder of judgments, or unknown.
        packed: the folder of the packed splits.
        workers: decoding processes; None: one per core.
    """

    size: int = field(default=PATCH_SIZE, kw_only=True)
    resize: Resize
    observers: Observers | None
    packed: str
    workers: int | None

    def __post_init__(self) -> None:
        check_at_least("data.size", self.size, 1)
        check_workers(self.workers)

    @property
    def form(self) -> PatchForm:
        """The form of the dataset's patches."""
        return PatchForm(self.size, self.resize.value)

    @property
    def form_folder(self) -> str:
        """The name of the folder of splits in this form. It omits the size 64, as in earlier versions."""
        return self.resize.value if self.size == PATCH_SIZE else f"{self.resize.value}-{self.size}"


@register_dataset("folder", FolderConfig)
class Folder(Dataset):
    """A folder in the BAPPS layout, packed from its files, and packed again if one of them changes."""

    settings: FolderConfig

    def phases(self) -> tuple[str, ...]:
        """The phases that have a folder, or both if none has."""
        root = Path(self.settings.root)
        there = [phase for phase in PHASES if any((root / kind / phase).is_dir() for kind in IMAGE_FIELDS)]
        return tuple(there) or PHASES

    def prepare(self, phases: Sequence[str]) -> list[PackedSplit]:
        """See `Dataset`."""
        return [split for phase in phases for split in self.pack(self.find_files(phase))]

    def find_files(self, phase: str) -> list[SplitFolder]:
        """The splits of a phase, as files.

        Raises:
            UserError: if a file or folder is missing or wrong. The message names it.
        """
        return find_splits(Path(self.settings.root), phase)

    def pack(self, splits: Sequence[SplitFolder], workers: int | None = None) -> list[PackedSplit]:
        """Packed splits of files. Complete ones are only opened. UserError names a file that is wrong.

        Args:
            splits: splits of this dataset; workers: as for `pack_split`; None for the setting.
        """
        workers = self.workers if workers is None else workers
        cfg, root = self.settings, Path(self.settings.root)
        # All folders have the same dataset name, so that the path of the packed splits has a digest of theirs.
        digest = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:8]
        packed = Path(cfg.packed) / cfg.name / cfg.form_folder / digest
        observers = observers_of(root, cfg.observers)
        files = {packed / f"{split.kind}-{split.phase}-{split.split}": split for split in splits}
        clear_leftovers(packed, leftovers())
        found = {}
        for target, split in files.items():
            if complete := open_packed(split, target, cfg.form, observers):
                report(complete, split.path)
                found[target] = complete
        if len(found) < len(files):  # complete splits are read without the lock
            with exclusive(packed, leftovers=leftovers()):
                for target, split in files.items():
                    if target not in found:
                        found[target] = pack_split(split, target, cfg.form, cfg.name, observers, workers)
        return [found[target] for target in files]
