"""NIGHTS, the 2AFC judgments of whole images that DreamSim was trained on."""

from lpips_repro.datasets.nights.dataset import Nights

__all__ = ["Nights"]
