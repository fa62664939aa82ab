"""The mini dataset: made on the spot from photographs in installed packages, judged by simulated observers."""

from lpips_repro.datasets.mini.build import build_mini, is_complete

__all__ = ["build_mini", "is_complete"]
