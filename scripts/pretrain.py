"""Let a network learn from photographs alone.  python scripts/pretrain.py task=puzzle images=FOLDER"""

import hydra
from omegaconf import DictConfig

from lpips_repro.entry_point import run


@hydra.main(version_base="1.3", config_path="../configs", config_name="pretrain")
def main(cfg: DictConfig) -> None:
    """Pretrain."""
    # Imported here: the processes that decode images import this file too, and need no torch.
    from lpips_repro.pretraining.run import pretrain

    pretrain(cfg)


if __name__ == "__main__":
    run(main)
