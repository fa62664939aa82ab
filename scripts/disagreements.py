"""Show triplets in which two methods disagree.  python scripts/disagreements.py data=mini 'methods="ssim,l2-rgb"'"""

import hydra
from omegaconf import DictConfig

from lpips_repro.entry_point import run


@hydra.main(version_base="1.3", config_path="../configs", config_name="disagreements")
def main(cfg: DictConfig) -> None:
    """Compare."""
    # Imported here, since the processes that decode images also import this file, and do not need torch.
    from lpips_repro.report.disagreements import write_disagreements

    write_disagreements(cfg)


if __name__ == "__main__":
    run(main)
