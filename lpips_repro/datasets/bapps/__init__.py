"""BAPPS, the paper's dataset: fetched, checked against what is published of it, and packed."""

from lpips_repro.datasets.bapps.dataset import Bapps
from lpips_repro.datasets.bapps.settings import BappsConfig

__all__ = ["Bapps", "BappsConfig"]
