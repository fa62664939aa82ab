"""LPIPS: the metric (`model`), what all of its variants share (`core`, `channels`), and its evaluator (`optimized`)."""

from lpips_repro.metrics.lpips.model import LPIPS, VARIANTS, VERSIONS, versions_of

__all__ = ["LPIPS", "VARIANTS", "VERSIONS", "versions_of"]
