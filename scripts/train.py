"""Train the metric on judgments.  python scripts/train.py net=alex variant=lin data=mini"""

import hydra
from omegaconf import DictConfig

from lpips_repro.entry_point import run


@hydra.main(version_base="1.3", config_path="../configs", config_name="train")
def main(cfg: DictConfig) -> None:
    """Train."""
    # Imported here, since the processes that decode images also import this file, and do not need torch.
    from lpips_repro.training.run import train

    train(cfg)


if __name__ == "__main__":
    run(main)
