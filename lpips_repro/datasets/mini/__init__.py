"""The mini dataset: made on the spot from photographs in installed packages, judged by simulated observers."""

from lpips_repro.datasets.mini.dataset import Mini, MiniConfig

__all__ = ["Mini", "MiniConfig"]
