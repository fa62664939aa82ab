"""Measure rates and compare with other packages.  python scripts/bench.py 'measure=[evaluation]' 'net=[alex]'"""

import hydra
from omegaconf import DictConfig

from lpips_repro.entry_point import run


@hydra.main(version_base="1.3", config_path="../configs", config_name="bench")
def main(cfg: DictConfig) -> None:
    """Benchmark."""
    # Imported here, since the process whose memory is measured also imports this file.
    from lpips_repro.benchmark.run import bench

    bench(cfg)


if __name__ == "__main__":
    run(main)
