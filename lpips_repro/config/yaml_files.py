"""The metrics and networks in `configs/`, without an import of PyTorch, so that the shell completes them quickly."""

from functools import cache
from typing import Any

from omegaconf import OmegaConf

from lpips_repro.config.paths import CONFIGS


@cache
def in_configs(group: str) -> dict[str, tuple[str, Any]]:
    """The metrics or networks in `configs/` by name, each with its file: {"l2-rgb": ("l2_rgb", settings), ...}."""
    files = sorted((CONFIGS / group).glob("*.yaml"))
    return {str(name): (file.stem, one) for file in files for name, one in OmegaConf.load(file).items()}


def computed_metrics() -> list[str]:
    """The metrics in `configs/` that this package computes; of the others it reads distances of another program."""
    return [name for name, (_, metric) in in_configs("metric").items() if "function" in metric]
