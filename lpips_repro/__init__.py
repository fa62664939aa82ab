"""A reproduction of "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (CVPR 2018)."""

from typing import Any

from lpips_repro.versions import VERSION as __version__

__all__ = ["LPIPS", "__version__", "load_image"]


def __getattr__(name: str) -> Any:
    # Imported at first use, so that processes that only decode images start without torch.
    if name == "LPIPS":
        from lpips_repro.metrics.lpips import LPIPS

        return LPIPS
    if name == "load_image":
        from lpips_repro.images import load_image

        return load_image
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
