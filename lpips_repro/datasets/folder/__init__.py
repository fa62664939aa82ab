"""A dataset in the BAPPS layout on this computer, under any name."""

from lpips_repro.datasets.folder.dataset import Folder, FolderConfig

__all__ = ["Folder", "FolderConfig"]
