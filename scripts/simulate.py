"""Add simulated judgments to a dataset.  python scripts/simulate.py out=data/mine"""

import hydra
from omegaconf import DictConfig

from lpips_repro.building.simulate import simulate
from lpips_repro.entry_point import run


@hydra.main(version_base="1.3", config_path="../configs", config_name="simulate")
def main(cfg: DictConfig) -> None:
    """Simulate."""
    simulate(cfg)


if __name__ == "__main__":
    run(main)
