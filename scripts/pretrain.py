"""Train a network on photographs without labels.  python scripts/pretrain.py task=puzzle images=FOLDER"""

import hydra
from omegaconf import DictConfig

from lpips_repro.entry_point import run


@hydra.main(version_base="1.3", config_path="../configs", config_name="pretrain")
def main(cfg: DictConfig) -> None:
    """Pretrain."""
    # Imported here, since the processes that decode images also import this file, and do not need torch.
    from lpips_repro.pretraining.run import pretrain

    pretrain(cfg)


if __name__ == "__main__":
    run(main)
