"""Settings in YAML files: the metrics and networks in `configs/`, and the settings of finished runs.

There is no import of PyTorch, so that the shell completes names quickly.
"""

from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from lpips_repro.config.paths import CONFIGS


@cache
def in_configs(group: str) -> dict[str, tuple[str, Any]]:
    """The metrics or networks in `configs/` by name, each with its file: {"l2-rgb": ("l2_rgb", settings), ...}."""
    files = sorted((CONFIGS / group).glob("*.yaml"))
    return {str(name): (file.stem, one) for file in files for name, one in OmegaConf.load(file).items()}


def computed_metrics() -> list[str]:
    """The metrics in `configs/` that this package computes; of the others it reads distances of another program."""
    return [name for name, (_, metric) in in_configs("metric").items() if "function" in metric]


def read_settings(file: Path) -> DictConfig:
    """The settings in a YAML file that may be damaged, such as `config.yaml` of a run.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it does not hold names and values in YAML, or is nested too deeply.
    """
    try:
        found = OmegaConf.load(file)
    except (YAMLError, OmegaConfBaseException) as error:
        raise ValueError(str(error).partition("\n")[0]) from error
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(found, DictConfig):
        raise ValueError("holds a list, expected names and values")
    return found
