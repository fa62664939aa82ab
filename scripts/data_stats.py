"""Write statistics of a dataset.  python scripts/data_stats.py data=mini"""

import hydra
from omegaconf import DictConfig

from lpips_repro.entry_point import run


@hydra.main(version_base="1.3", config_path="../configs", config_name="dataset")
def main(cfg: DictConfig) -> None:
    """Describe."""
    # Imported here, since the processes that decode images also import this file, and do not need torch.
    from lpips_repro.report.statistics import write_statistics

    write_statistics(cfg)


if __name__ == "__main__":
    run(main)
