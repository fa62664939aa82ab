"""Finished training runs as rows of the tables.

A run's folder has `summary.json` (what was trained on what), written last, and `weights.pth`, a state dict in the
released format. Runs that differ in nothing but the seed are one method.
"""

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lpips_repro.backbones.weights import read_state
from lpips_repro.config import EvaluateConfig
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances import Distance, Engine
from lpips_repro.evaluation.methods import Method, lpips_distance
from lpips_repro.metrics.lpips import LPIPS

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedRun:
    """A finished training run: its folder, and what its summary says."""

    folder: Path
    net: str
    backbone: str
    variant: str
    version: str
    seed: int
    data: str

    @property
    def without_seed(self) -> str:
        """The run's name but for the seed: the same for runs that differ in nothing else."""
        return self.folder.name.replace(f"-seed{self.seed}", "", 1)

    @property
    def origin(self) -> str:
        """What is said of its row: the seed and, where settings are not the default ones, the short hash in its name.

        See `lpips_repro.training.run_name`.
        """
        settings = self.folder.name.partition(f"-seed{self.seed}-")[2]
        return f"trained here, seed {self.seed}" + (f", {settings}" if settings else "")


def find_runs(experiments: Path) -> list[TrainedRun]:
    """The finished runs in a folder, sorted by name and seed; other files of this name are passed over."""
    runs = []
    for file in experiments.glob("*/summary.json"):
        try:
            summary = json.loads(file.read_text())
            keys = ("net", "backbone", "variant", "version", "seed", "data")
            runs.append(TrainedRun(file.parent, **{key: summary[key] for key in keys}))
        except (OSError, ValueError, KeyError, TypeError):  # of another program, or of something else
            log.info("%s: not the summary of a finished training run: passed over", file)
    return sorted(runs, key=lambda run: (run.without_seed, run.seed))


def trained_methods(cfg: EvaluateConfig) -> list[Method]:
    """A row for each finished run on `cfg.trained_on` of the networks and variants that the settings name.

    Where a variant that nobody published weights for (tune, scratch) was trained in no run, a row says so.
    """
    if cfg.trained_on is None:
        return []
    runs = [run for run in find_runs(Path(cfg.experiments)) if run.data == cfg.trained_on]
    methods = []
    for variant, settings in cfg.variant.items():
        for name, net in cfg.net.items():
            chosen = [run for run in runs if (run.net, run.variant) == (name, variant)]
            paper = net.paper and (net.paper, variant)
            methods += [method_of_run(run, net.supervision, paper) for run in chosen]
            if not chosen and variant in ("tune", "scratch") and net.official_lin:
                methods += [_absent(name, variant, version, cfg.trained_on, paper) for version in settings.versions]
    return methods


def method_of_run(run: TrainedRun, supervision: str, paper: tuple[str, str] | None = None) -> Method:
    """The row of a run."""

    def build(engine: Engine) -> Distance:
        metric = LPIPS.from_official(run.backbone, run.version, read_state(run.folder / "weights.pth"), run.variant)
        return lpips_distance(metric, engine, trained_here=run.folder.name, trained_on=run.data, seed=run.seed)

    return Method(
        "lpips",
        run.net,
        build,
        run.variant,
        run.version,
        supervision,
        paper,
        origin=run.origin,
        run=run.folder.name,
        seeds_of=run.without_seed,
    )


def origin_of_seeds(origins: Sequence[str]) -> str:
    """What is said of a row over several seeds, given what is said of each."""
    return re.sub(r"seed \d+", f"{len(origins)} seeds", origins[0], count=1) if len(origins) > 1 else origins[0]


def by_seeds(methods: Sequence[Method]) -> list[list[Method]]:
    """The methods, those together that are training runs with other seeds of one method."""
    groups: dict[str, list[Method]] = {}
    for method in methods:
        groups.setdefault(method.seeds_of or method.label, []).append(method)
    return list(groups.values())


def _absent(name: str, variant: str, version: str, data: str, paper: tuple[str, str] | None) -> Method:
    def build(engine: Engine) -> Distance:
        raise UserError(
            f"no weights of {variant} are published, and no run on {data} is finished:"
            f" run `make train NET={name} VARIANT={variant} DATA={data}`"
        )

    return Method("lpips", name, build, variant, version, "supervised", paper)
