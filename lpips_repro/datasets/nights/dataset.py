"""NIGHTS (Fu, Tamir, Sundaram et al., "DreamSim", NeurIPS 2023): which of two whole images is more like a reference.

ROOT/data.csv                   a line per triplet: see `table.py`
ROOT/ref/000/002.png            768 x 768 pixels; distort/000/002_0.png and distort/000/002_1.png go with it

As in DreamSim's evaluation, triplets with fewer than 6 votes are left out, and images are resized to 224 x 224 by
Pillow's bicubic filter. The splits are those of the table's column `split`. They are disjoint, since the interval of an
average over splits assumes that splits are independent.
"""

from dataclasses import dataclass
from pathlib import Path

from lpips_repro.datasets.folder import Folder, FolderConfig
from lpips_repro.datasets.nights.table import PAGE, REMEDY, Triplet, read_triplets
from lpips_repro.datasets.packed import PHASES
from lpips_repro.datasets.packing.layout import SplitFolder
from lpips_repro.datasets.registry import register_dataset
from lpips_repro.errors import UserError

SPLITS = {"train": ("train",), "val": ("val", "test")}  # by phase


@dataclass(frozen=True)
class NightsSplit(SplitFolder):
    """A split of the table; triplets: its triplets by name."""

    triplets: dict[str, Triplet]

    def image(self, field: str, name: str) -> Path:
        """The file of an image field."""
        return self.triplets[name].files[field]

    def name_of_image(self, field: str, name: str) -> str:
        """The file of an image field, relative to the folder of NIGHTS."""
        return self.image(field, name).relative_to(self.path).as_posix()

    def vote(self, name: str) -> float:
        """The share of judges who chose the right image."""
        return self.triplets[name].judge

    def vote_digest(self, name: str) -> str:
        """The share as text."""
        return str(self.vote(name))


@register_dataset("nights", FolderConfig)
class Nights(Folder):
    """The triplets of NIGHTS, packed from the unpacked files. Only the phase "val" is scored."""

    title = "NIGHTS"

    def phases(self) -> tuple[str, ...]:
        """Both phases: all splits are in one table."""
        return PHASES

    def find_files(self, phase: str) -> list[SplitFolder]:
        """See `Folder`. Splits without a triplet are left out."""
        root = Path(self.settings.root)
        triplets, found = read_triplets(root / "data.csv"), list[SplitFolder]()
        for split in SPLITS[phase]:
            chosen = {triplet.name: triplet for triplet in triplets if triplet.split == split}
            for file in (file for triplet in chosen.values() for file in triplet.files.values()):
                if not file.is_file():
                    raise UserError(
                        f"{file}: missing, though {root}/data.csv lists it: unpack the archive of {PAGE} again"
                    )
            if chosen:
                found.append(NightsSplit(root, "2afc", phase, split, tuple(chosen), chosen))
        if not found:
            raise UserError(f"{root}/data.csv: lists no triplet of {', '.join(SPLITS[phase])}: {REMEDY}")
        return found
