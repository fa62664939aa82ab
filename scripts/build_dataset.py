"""Build a dataset from photographs.  python scripts/build_dataset.py images=path/to/photographs out=data/mine"""

import hydra
from omegaconf import DictConfig

from lpips_repro.entry_point import run


@hydra.main(version_base="1.3", config_path="../configs", config_name="build_dataset")
def main(cfg: DictConfig) -> None:
    """Build."""
    # Imported here, since the processes that make examples also import this file.
    from lpips_repro.building.build import build_dataset

    build_dataset(cfg)


if __name__ == "__main__":
    run(main)
