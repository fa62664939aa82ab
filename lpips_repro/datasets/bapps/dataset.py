"""BAPPS as a registered dataset."""

import logging
from collections.abc import Iterator, Sequence

from lpips_repro.config import Resize
from lpips_repro.datasets.bapps.prepare import check_room, find_packed, packed_folder, prepare_bapps
from lpips_repro.datasets.bapps.settings import BappsConfig
from lpips_repro.datasets.bapps.verify import verify_archives, verify_splits
from lpips_repro.datasets.folder import PATCH_SIZE
from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.datasets.packing.patches import PatchForm
from lpips_repro.datasets.registry import Dataset, Finding, register_dataset
from lpips_repro.errors import UserError

log = logging.getLogger(__name__)


@register_dataset("bapps", BappsConfig)
class Bapps(Dataset):
    """BAPPS: downloaded, checked and packed per phase."""

    title = "BAPPS"
    settings: BappsConfig

    @property
    def has_paper_figures(self) -> bool:
        """Whether images are resized as in the released loader."""
        return self.settings.form == PatchForm(PATCH_SIZE, Resize.pil_bilinear.value)

    def prepare(self, phases: Sequence[str]) -> list[PackedSplit]:
        """See `Dataset`."""
        check_room(self.settings, phases)  # for all phases, before the first download
        return [split for phase in phases for split in prepare_bapps(self.settings, phase, self.workers)]

    def find(self, phases: Sequence[str]) -> list[PackedSplit]:
        """The splits that are packed. It warns of the others, and downloads nothing."""
        splits, missing = find_packed(self.settings, phases)
        if missing:
            lacking = sorted({phase for _, phase, _ in missing})
            command = f"make data SPLITS={lacking[0]}" if len(lacking) == 1 else "make data"
            remedy = f"run `{command}` first (with the same ARGS, if any)"
            if not splits:
                where = packed_folder(self.settings)
                raise UserError(f"{where}: no packed split of {' or '.join(lacking)}: {remedy}")
            log.warning("not packed, so not described: %s: %s", ", ".join("/".join(key) for key in missing), remedy)
        return splits

    def to_fetch(self, phases: Sequence[str]) -> list[str]:
        """See `Dataset`."""
        return ["/".join(key) for key in find_packed(self.settings, phases)[1]]

    def verify(self, phases: Sequence[str]) -> Iterator[Finding]:
        """The findings on every packed split and archive."""
        yield from verify_splits(self.settings, phases)
        yield from verify_archives(self.settings, phases)
