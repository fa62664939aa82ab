"""A reproduction of "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (CVPR 2018)."""

__all__ = ["LPIPS"]


def __getattr__(name: str):
    # Imported at first use, so that processes which only decode images start without torch.
    if name == "LPIPS":
        from lpips_repro.metrics.lpips import LPIPS

        return LPIPS
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
