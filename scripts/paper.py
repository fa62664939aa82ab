"""Reproduce all results of the paper and compare them with it.  python scripts/paper.py experiment=paper_mini"""

import hydra
from omegaconf import DictConfig

from lpips_repro.entry_point import run


@hydra.main(version_base="1.3", config_path="../configs", config_name="paper")
def main(cfg: DictConfig) -> None:
    """Reproduce the paper."""
    # Imported here, since the processes that decode images also import this file, and do not need torch.
    from lpips_repro.paper.run import reproduce_paper

    reproduce_paper(cfg)


if __name__ == "__main__":
    run(main)
