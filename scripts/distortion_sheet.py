"""Show the traditional distortions.  python scripts/distortion_sheet.py image=path/to/image"""

import hydra
from omegaconf import DictConfig

from lpips_repro.entry_point import run
from lpips_repro.report.distortion_sheet import write_distortion_sheet


@hydra.main(version_base="1.3", config_path="../configs", config_name="distortion_sheet")
def main(cfg: DictConfig) -> None:
    """Draw."""
    write_distortion_sheet(cfg)


if __name__ == "__main__":
    run(main)
