"""The settings of BAPPS: `configs/data/bapps.yaml`."""

from dataclasses import dataclass

from lpips_repro.config import Observers
from lpips_repro.config.secrets import whole_mirrors
from lpips_repro.datasets.folder import FolderConfig
from lpips_repro.download.mirrors import local_folder
from lpips_repro.errors import UserError


@dataclass
class BappsConfig(FolderConfig):
    """The settings of BAPPS: sources and folder of its archives, and the published digests of its judgments."""

    mirrors: list[str]
    archives: str
    unpack: bool
    manifest: str

    def __post_init__(self):
        super().__post_init__()
        if self.observers is not Observers.human:
            found = self.observers.value if self.observers else "null"
            raise UserError(
                f"data.observers={found}: BAPPS was judged by people: other judgments are another"
                " dataset: DATA=folder DATA_ROOT=..."
            )
        if not self.mirrors:
            raise UserError("data.mirrors=[]: expected at least one address or folder")
        for mirror in self.mirrors:
            local_folder(mirror)  # raises UserError if it is not a mirror
        for mirror in whole_mirrors(self.mirrors):
            local_folder(mirror)
