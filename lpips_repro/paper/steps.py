"""The steps of `make paper`: the command of each, and whether it is done."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from lpips_repro.config import PaperConfig
from lpips_repro.config.paths import CONFIGS
from lpips_repro.quoting import quoted
from lpips_repro.runs.run_name import default_settings, flat_settings
from lpips_repro.training.run_name import run_name

SCRIPTS = CONFIGS.parent / "scripts"


@dataclass(frozen=True)
class Step:
    """A script and its overrides.

    Attributes:
        name: unique name, such as "train vgg lin seed 0".
        script: name of a file in `scripts/`; overrides: its arguments.
        trains: (network, variant) of a training, else None.
        done: file that exists if the step is done; None if the script checks this itself.
    """

    name: str
    script: str
    overrides: Sequence[str]
    trains: tuple[str, str] | None = None
    done: Path | None = None

    @property
    def command(self) -> list[str]:
        """The command line of the step, to be run in the root of the repository."""
        return [sys.executable, str(SCRIPTS / f"{self.script}.py"), *self.overrides]

    @property
    def is_done(self) -> bool:
        """Whether the file `done` exists."""
        return self.done is not None and self.done.is_file()


def steps_of(cfg: PaperConfig, data: DictConfig) -> list[Step]:
    """Return all steps in order; `data` has the composed settings of the dataset."""
    dataset, folders = _overrides_of(data), [f"experiments={quoted(cfg.experiments)}"]
    fetch = [] if cfg.download else ["download=false"]
    common = [*dataset, *folders, *fetch, f"device={cfg.device.value}"]
    tables = [f"name={cfg.name}", f"reference={quoted(cfg.reference)}"]
    steps = [Step("dataset", "data", [*dataset, "splits=all", *folders])]
    if cfg.download:
        steps.append(Step("weights", "weights", [f"net=[{','.join(cfg.nets)}]", *folders]))
    return [
        *steps,
        *_trainings(cfg, common),
        Step("tables", "evaluate", [*common, *tables, *cfg.tables]),
        Step("Figure 5", "correlation", [*folders, *tables, f"version='{cfg.version}'"]),
        Step("Figure 10", "sparsity", [*folders, *fetch, f"name={cfg.name}-sparsity"]),
        Step("report", "report", [*dataset, *folders, *fetch, *_report(cfg)]),
    ]


def report_name(cfg: PaperConfig) -> str:
    """Return the name of the report's folder under `experiments`."""
    return f"{cfg.name}-report"


def _report(cfg: PaperConfig) -> list[str]:
    nets = f"net=[{','.join(cfg.nets)}]"
    own = [f"name={report_name(cfg)}", f"tables={cfg.name}", f"reference={quoted(cfg.reference)}"]
    return [nets, *own, f"version='{cfg.version}'"]


def _trainings(cfg: PaperConfig, common: Sequence[str]) -> Iterator[Step]:
    """One step per seed, network and variant."""
    for seed in cfg.seeds:
        for net in cfg.nets:
            for variant in cfg.variants:
                own = [f"net={net}", f"variant={variant}", f"version='{cfg.version}'", f"seed={seed}"]
                overrides = [*common, *own, *cfg.train]
                done = Path(cfg.experiments) / run_name(composed("train", overrides)) / "summary.json"
                yield Step(f"train {net} {variant} seed {seed}", "train", overrides, (net, variant), done)


def _overrides_of(data: DictConfig) -> list[str]:
    """The overrides for the settings of a dataset: its name, and the settings that differ from its config file."""
    settings: Any = OmegaConf.to_container(data, resolve=False)
    found = flat_settings(settings, "data.")
    defaults = default_settings("dataset", data=settings["name"])
    changed = [key for key, value in found.items() if key not in defaults or defaults[key] != value]
    return [f"data={settings['name']}", *(f"{key}={_text(found[key])}" for key in changed)]


def _text(value: Any) -> str:
    """A value in Hydra's syntax."""
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    if isinstance(value, str):
        return quoted(value)
    return "null" if value is None else str(value).lower()


def composed(script: str, overrides: Sequence[str]) -> DictConfig:
    """Return the settings that a script has with some overrides."""
    if GlobalHydra.instance().is_initialized():
        return compose(script, list(overrides))
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose(script, list(overrides))
