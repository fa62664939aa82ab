"""NIGHTS (Fu, Tamir, Sundaram et al., "DreamSim", NeurIPS 2023): whole images, of which one is more like a reference.

ROOT/data.csv                   a line a triplet: see `table.py`
ROOT/ref/000/002.png            768 x 768 pixels; distort/000/002_0.png and distort/000/002_1.png go with it

As in DreamSim's evaluation, triplets with fewer than 6 votes are left out, images are shrunk to 224 x 224 by Pillow's
bicubic resize, and the test split is scored as a whole and in two parts: categories of ImageNet, and others.
"""

from dataclasses import dataclass
from pathlib import Path

from lpips_repro.datasets.folder import Folder, FolderConfig
from lpips_repro.datasets.nights.table import PAGE, REMEDY, Triplet, read_triplets
from lpips_repro.datasets.packed import PHASES
from lpips_repro.datasets.packing.layout import SplitFolder
from lpips_repro.datasets.registry import register_dataset
from lpips_repro.errors import UserError

# The splits of each phase, and which triplets they have: of a part, and of a category of ImageNet if that matters.
SPLITS: dict[str, dict[str, tuple[str, bool | None]]] = {
    "train": {"train": ("train", None)},
    "val": {
        "val": ("val", None),
        "test": ("test", None),
        "test_imagenet": ("test", True),
        "test_no_imagenet": ("test", False),
    },
}


@dataclass(frozen=True)
class NightsSplit(SplitFolder):
    """A split as the table says; triplets: by `names`."""

    triplets: dict[str, Triplet]

    def image(self, field: str, name: str) -> Path:
        """The file of an image field."""
        return self.triplets[name].files[field]

    def vote(self, name: str) -> float:
        """The share of judges who chose the right image."""
        return self.triplets[name].judge

    def vote_digest(self, name: str) -> str:
        """The share itself."""
        return str(self.vote(name))


@register_dataset("nights", FolderConfig)
class Nights(Folder):
    """Unpacked by hand; the phase "val" is all that is scored."""

    title = "NIGHTS"

    def phases(self) -> tuple[str, ...]:
        """Both."""
        return PHASES

    def find_files(self, phase: str) -> list[SplitFolder]:
        """See `Folder`; splits without a triplet are left out."""
        root = Path(self.settings.root)
        triplets, found = read_triplets(root / "data.csv"), list[SplitFolder]()
        for split, (part, is_imagenet) in SPLITS[phase].items():
            chosen = {
                triplet.name: triplet
                for triplet in triplets
                if triplet.part == part and is_imagenet in (None, triplet.is_imagenet)
            }
            for file in (file for triplet in chosen.values() for file in triplet.files.values()):
                if not file.is_file():
                    raise UserError(
                        f"{file}: missing, though {root}/data.csv names it: unpack the archive of {PAGE} again"
                    )
            if chosen:
                found.append(NightsSplit(root, "2afc", phase, split, tuple(chosen), chosen))
        if not found:
            raise UserError(f"{root}/data.csv: names no triplet of {', '.join(SPLITS[phase])}: {REMEDY}")
        return found
