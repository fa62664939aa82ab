"""BAPPS, the paper's dataset: downloaded, compared with published figures, and packed."""

from lpips_repro.datasets.bapps.dataset import Bapps
from lpips_repro.datasets.bapps.settings import BappsConfig

__all__ = ["Bapps", "BappsConfig"]
