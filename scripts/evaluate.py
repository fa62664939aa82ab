"""Write the 2AFC and JND tables of a dataset.  python scripts/evaluate.py data=mini"""

import hydra
from omegaconf import DictConfig

from lpips_repro.entry_point import run


@hydra.main(version_base="1.3", config_path="../configs", config_name="evaluate")
def main(cfg: DictConfig) -> None:
    """Evaluate."""
    # Imported here, since the processes that decode images also import this file, and do not need torch.
    from lpips_repro.evaluation.run import evaluate

    evaluate(cfg)


if __name__ == "__main__":
    run(main)
