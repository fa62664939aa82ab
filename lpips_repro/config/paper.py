"""Settings of the reproduction of the whole paper: `configs/paper.yaml`."""

from dataclasses import dataclass
from typing import Any

from lpips_repro.config.checks import check_seed
from lpips_repro.config.evaluate import Device
from lpips_repro.config.outputs import check_output_name
from lpips_repro.errors import UserError, check_choice


@dataclass(kw_only=True)
class PaperConfig:
    """The settings of `configs/paper.yaml`; `data` as in `config.choices`; `train`, `tables`: overrides of steps."""

    data: Any
    nets: list[str]
    variants: list[str]
    seeds: list[int]
    version: str
    device: Device
    train: list[str]
    tables: list[str]
    name: str
    experiments: str
    reference: str
    download: bool

    def __post_init__(self):
        check_output_name(self.name)
        for key in ("nets", "variants", "seeds"):
            values = getattr(self, key)
            if not values or len(set(values)) != len(values):
                raise UserError(f"{key}={values}: expected at least one value, and none twice")
        for variant in self.variants:
            check_choice("variants", variant, ("lin", "tune", "scratch"))
        for seed in self.seeds:
            check_seed(seed, "seeds")
