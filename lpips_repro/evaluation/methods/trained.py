"""Finished training runs as methods. Runs that differ only in the seed share a row."""

from collections.abc import Sequence

from lpips_repro.config import EvaluateConfig
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances.compute import Distance, Engine
from lpips_repro.evaluation.methods.finished_runs import TrainedRun
from lpips_repro.evaluation.methods.method import Method, paper_row
from lpips_repro.evaluation.methods.published import lpips_distance
from lpips_repro.metrics.lpips import LPIPS


def trained_methods(cfg: EvaluateConfig, runs: Sequence[TrainedRun]) -> list[Method]:
    """The methods of runs, in the order of the settings.

    If no run has a variant without published weights (tune, scratch), its row shows the reason.
    """
    if cfg.trained_on is None:
        return []
    methods = []
    for variant, settings in cfg.variant.items():
        for name, net in cfg.net.items():
            chosen = [run for run in runs if (run.net, run.variant) == (name, variant)]
            paper = paper_row(net.paper, variant)
            methods += [method_of_run(run, net.supervision, paper) for run in chosen]
            if not chosen and variant in ("tune", "scratch") and net.official_lin:
                methods += [_absent(name, variant, version, cfg.trained_on, paper) for version in settings.versions]
    return methods


def method_of_run(run: TrainedRun, supervision: str, paper: tuple[str, str] | None = None) -> Method:
    """The method of a run."""

    def build(engine: Engine) -> Distance:
        state = run.state()
        try:
            metric = LPIPS.from_official(run.backbone, run.version, state, run.variant)
        except UserError as error:
            raise UserError(f"{run.folder}: its weights cannot be used: {error}") from error
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
        seed=run.seed,
        run=run.folder.name,
        training=run.training,
        seeds_of=run.without_seed,
    )


def _absent(name: str, variant: str, version: str, data: str, paper: tuple[str, str] | None) -> Method:
    def build(engine: Engine) -> Distance:
        raise UserError(
            f"no weights of {variant} are published, and no run on {data} is finished:"
            f" run `make train NET={name} VARIANT={variant} DATA={data}`"
        )

    return Method("lpips", name, build, variant, version, "supervised", paper)
