"""The settings of a script, for programs that do not run it."""

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from lpips_repro.config.paths import CONFIGS


def composed(config: str, *overrides: str) -> DictConfig:
    """Return the settings of `configs/CONFIG.yaml` with overrides, as Hydra composes them for a script."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose(config, overrides=list(overrides))
