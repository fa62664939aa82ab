"""Train distorting autoencoders.  python scripts/cnn_distortions.py --multirun count=96 images=FOLDER"""

import hydra
from omegaconf import DictConfig

from lpips_repro.entry_point import run


@hydra.main(version_base="1.3", config_path="../configs", config_name="cnn_distortions")
def main(cfg: DictConfig) -> None:
    """Train one."""
    # Imported here, since the processes that decode images also import this file, and do not need torch.
    from lpips_repro.cnn_distortions.run import train_autoencoder

    train_autoencoder(cfg)


if __name__ == "__main__":
    run(main)
