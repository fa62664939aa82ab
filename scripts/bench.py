"""Measure rates beside the peers'.  python scripts/bench.py 'measure=[evaluation]' 'net=[alex]'"""

import hydra
from omegaconf import DictConfig

from lpips_repro.entry_point import run


@hydra.main(version_base="1.3", config_path="../configs", config_name="bench")
def main(cfg: DictConfig) -> None:
    """Benchmark."""
    # Imported here: the process that memory is measured in imports this file too.
    from lpips_repro.benchmark.run import bench

    bench(cfg)


if __name__ == "__main__":
    run(main)
