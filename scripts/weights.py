"""Download and check the weights that the tables use.  python scripts/weights.py net=[alex]"""

import hydra
from omegaconf import DictConfig

from lpips_repro.entry_point import run
from lpips_repro.weights.fetch import fetch_weights


@hydra.main(version_base="1.3", config_path="../configs", config_name="weights")
def main(cfg: DictConfig) -> None:
    """Download."""
    fetch_weights(cfg)


if __name__ == "__main__":
    run(main)
