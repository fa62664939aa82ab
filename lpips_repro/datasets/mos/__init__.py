"""Datasets of whole images with mean opinion scores, compared with their reference images at several sizes."""

from lpips_repro.datasets.mos.kadid10k import Kadid10k
from lpips_repro.datasets.mos.tid2013 import Tid2013

__all__ = ["Kadid10k", "Tid2013"]
