"""A dataset in the BAPPS layout on this computer, under any name."""

from lpips_repro.datasets.folder.dataset import PATCH_SIZE, Folder, FolderConfig

__all__ = ["PATCH_SIZE", "Folder", "FolderConfig"]
