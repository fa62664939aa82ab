"""A reproduction of "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (CVPR 2018)."""

from lpips_repro.metrics.lpips import LPIPS

__all__ = ["LPIPS"]
