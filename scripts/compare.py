"""Compare training runs.  python scripts/compare.py 'runs="mini-alex-lin-v0.1-seed0 mini-alex-lin-v0.1-seed1"'"""

import hydra
from omegaconf import DictConfig

from lpips_repro.entry_point import run


@hydra.main(version_base="1.3", config_path="../configs", config_name="compare")
def main(cfg: DictConfig) -> None:
    """Compare."""
    # Imported here, since the processes that decode images also import this file, and do not need torch.
    from lpips_repro.report.compare import compare_runs

    compare_runs(cfg)


if __name__ == "__main__":
    run(main)
