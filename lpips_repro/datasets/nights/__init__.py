"""NIGHTS: 2AFC judgments of whole images, on which DreamSim was trained."""

from lpips_repro.datasets.nights.dataset import Nights

__all__ = ["Nights"]
