"""Draw figures of the tables, distances, runs and weights that exist.  python scripts/report.py data=mini"""

import hydra
from omegaconf import DictConfig

from lpips_repro.entry_point import run


@hydra.main(version_base="1.3", config_path="../configs", config_name="report")
def main(cfg: DictConfig) -> None:
    """Report."""
    # Imported here: the processes that decode images import this file too, and need no torch.
    from lpips_repro.report.run import write_report

    write_report(cfg)


if __name__ == "__main__":
    run(main)
