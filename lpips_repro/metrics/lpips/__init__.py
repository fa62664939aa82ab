"""LPIPS: the metric (`model`), the code that its variants share (`core`, `channels`), its evaluator (`optimized`)."""

from lpips_repro.metrics.lpips.model import LPIPS, VARIANTS, VERSIONS, versions_of

__all__ = ["LPIPS", "VARIANTS", "VERSIONS", "versions_of"]
