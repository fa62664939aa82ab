"""Draw figures of existing tables, distances, runs and weights.  python scripts/report.py data=mini"""

import hydra
from omegaconf import DictConfig

from lpips_repro.entry_point import run


@hydra.main(version_base="1.3", config_path="../configs", config_name="report")
def main(cfg: DictConfig) -> None:
    """Report."""
    # Imported here, since the processes that decode images also import this file, and do not need torch.
    from lpips_repro.report.run import write_report

    write_report(cfg)


if __name__ == "__main__":
    run(main)
