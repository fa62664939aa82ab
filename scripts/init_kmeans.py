"""Make weights by stacked k-means, without training.  python scripts/init_kmeans.py images=path/to/photographs"""

import hydra
from omegaconf import DictConfig

from lpips_repro.entry_point import run
from lpips_repro.pretraining.init_kmeans import init_kmeans


@hydra.main(version_base="1.3", config_path="../configs", config_name="init_kmeans")
def main(cfg: DictConfig) -> None:
    """Cluster."""
    init_kmeans(cfg)


if __name__ == "__main__":
    run(main)
