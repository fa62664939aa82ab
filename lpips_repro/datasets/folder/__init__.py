"""A dataset in the BAPPS layout in any folder of this computer."""

from lpips_repro.datasets.folder.dataset import PATCH_SIZE, Folder, FolderConfig

__all__ = ["PATCH_SIZE", "Folder", "FolderConfig"]
