"""Run the whole pipeline on the mini dataset.  python scripts/demo.py show=all"""

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from lpips_repro.demo import run_demo
from lpips_repro.entry_point import run


@hydra.main(version_base="1.3", config_path="../configs", config_name="demo")
def main(cfg: DictConfig) -> None:
    """Run."""
    run_demo(cfg, HydraConfig.get().overrides.task)


if __name__ == "__main__":
    run(main)
