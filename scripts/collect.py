"""A study of human judgments of a dataset.  python scripts/collect.py dataset=data/mine"""

import hydra
from omegaconf import DictConfig

from lpips_repro.entry_point import run


@hydra.main(version_base="1.3", config_path="../configs", config_name="collect")
def main(cfg: DictConfig) -> None:
    """Collect."""
    from lpips_repro.errors import UserError

    try:
        from lpips_repro.collect.run import collect
    except ModuleNotFoundError as error:
        remedy = 'run `make setup-collect`, or `pip install "lpips_repro[collect]"`'
        raise UserError(f"make collect: {error.name} is not installed: {remedy}") from error
    collect(cfg)


if __name__ == "__main__":
    run(main)
