"""The mini dataset: made from photographs in installed packages, with simulated observers."""

from lpips_repro.datasets.mini.dataset import Mini, MiniConfig

__all__ = ["Mini", "MiniConfig"]
