"""Write the share of zero lin weights per layer.  python scripts/sparsity.py net=[alex]"""

import hydra
from omegaconf import DictConfig

from lpips_repro.entry_point import run
from lpips_repro.report.sparsity import write_sparsity


@hydra.main(version_base="1.3", config_path="../configs", config_name="sparsity")
def main(cfg: DictConfig) -> None:
    """Describe."""
    write_sparsity(cfg)


if __name__ == "__main__":
    run(main)
