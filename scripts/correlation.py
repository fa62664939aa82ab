"""Correlate the methods' 2AFC and JND scores.  python scripts/correlation.py name=tables-mini"""

import hydra
from omegaconf import DictConfig

from lpips_repro.entry_point import run
from lpips_repro.report.correlation import write_correlation


@hydra.main(version_base="1.3", config_path="../configs", config_name="correlation")
def main(cfg: DictConfig) -> None:
    """Correlate."""
    write_correlation(cfg)


if __name__ == "__main__":
    run(main)
