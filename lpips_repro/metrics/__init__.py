"""Image metrics: functions of two batches of RGB images in [0, 1], (N, 3, H, W), that return N values.

`METRICS` holds the registered ones by name, each with the way its value becomes a distance.
"""

from lpips_repro.metrics.fsim import fsim, fsimc
from lpips_repro.metrics.l2 import l2
from lpips_repro.metrics.psnr import psnr
from lpips_repro.metrics.registry import METRICS, register_metric
from lpips_repro.metrics.ssim import dssim, ssim

__all__ = ["METRICS", "dssim", "fsim", "fsimc", "l2", "psnr", "register_metric", "ssim"]
