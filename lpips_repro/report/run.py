"""The report on some data: figures of whatever tables, stored distances, runs and weights exist (`make report`)."""

import functools
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig
from torch import Tensor

from lpips_repro.config import ReportConfig, parse
from lpips_repro.config.checks import check_writable
from lpips_repro.datasets.registry import dataset_of
from lpips_repro.datasets.split import content_of
from lpips_repro.errors import UserError, check_choice
from lpips_repro.evaluation.methods.finished_runs import find_runs
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.evaluation.tables.kept_tables import FILE as DATA_FILE
from lpips_repro.files import written_together
from lpips_repro.metrics.lpips import VERSIONS
from lpips_repro.report.figures import (
    Judged,
    Scores,
    binomial_fit,
    draw_methods,
    jnd_against_twoafc,
    lin_weights,
    paper_methods,
    read_curves,
    read_scores,
    save_figure,
    split_bars,
    training_curves,
    twoafc_bars,
    unanimity,
)
from lpips_repro.report.figures.style import FORMATS, Picture
from lpips_repro.report.sparsity import PAPER, is_simulated
from lpips_repro.report.stored import distances_of
from lpips_repro.runs.record import record_run
from lpips_repro.weights.official_lin import official_lin_state

log = logging.getLogger(__name__)

RECORD = "figures.json"  # which figures there are, and why others are not
OFFICIAL = "official"


def write_report(composed: DictConfig) -> None:
    """Write the figures that the composed settings (`configs/report.yaml`) ask for; print a line on each.

    What cannot be made is left out with the reason; figures of an earlier report that are not made again are removed.

    Raises:
        UserError: for a setting that cannot be used, or if no figure can be made.
    """
    cfg = parse(composed, ReportConfig)
    check_choice("version", cfg.version, VERSIONS)
    for version in cfg.versions:
        check_choice("versions", version, VERSIONS)
    folder = Path(cfg.experiments) / cfg.name
    check_writable("experiments", folder / "figures")
    record_run(folder, composed)
    made, left_out = {}, {}
    with written_together(folder / "figures") as new:
        for name, (title, make) in _figures(cfg).items():
            try:
                save_figure(make(), new, name)
            except UserError as error:
                left_out[name] = str(error)
                print(f"left out: {title}: {error}")
            else:
                made[name] = title
                print(f"{title}: {folder / 'figures' / name}.{{{','.join(FORMATS)}}}")
        for name in _earlier(folder / "figures") - made.keys():
            for suffix in FORMATS:
                (new / f"{name}.{suffix}").touch()  # removed: see `written_together`
        (new / RECORD).write_text(json.dumps({"made": made, "left out": left_out}, indent=2) + "\n")
    if not made:
        raise UserError(f"{folder}: no figure can be made: run `make eval-tables` or `make train` first")
    print(f"written: {len(made)} figures in {folder / 'figures'}")


Make = Callable[[], Picture]


def _figures(cfg: ReportConfig) -> dict[str, tuple[str, Make]]:
    """By file name: a title, and what draws the figure or raises UserError."""
    experiments, reference = Path(cfg.experiments), Path(cfg.reference)
    scores = functools.cache(lambda: read_scores(experiments / cfg.tables))
    judged = functools.cache(lambda: _judged(cfg, scores()))
    figures: dict[str, tuple[str, Make]] = {
        "2afc": ("2AFC scores (paper, Figure 4)", lambda: twoafc_bars(scores())),
        "2afc-splits": ("2AFC scores by split (paper, Figures 7 to 9)", lambda: split_bars(scores())),
        "jnd-2afc": ("JND against 2AFC (paper, Figure 5)", lambda: jnd_against_twoafc(scores(), cfg.version)),
        "jnd-2afc-paper": ("the paper's own Figure 5", lambda: draw_methods([paper_methods(reference)], 3.5)),
        "unanimity": (
            "2AFC scores by how far judges agree",
            lambda: unanimity(judged(), scores().observers),
        ),
        "binomial-fit": (
            "fit of the binomial model of the votes",
            lambda: binomial_fit(judged(), scores().observers),
        ),
        "training": ("training curves", lambda: _curves(cfg)),
    }
    return figures | dict(_lin_figures(cfg))


def _judged(cfg: ReportConfig, scores: Scores) -> list[Judged]:
    """The stored distances of the rows on 2AFC splits; rows without are left out with a warning.

    Raises:
        UserError: if the dataset is not there, or is not that of the tables.
    """
    tables = Path(cfg.experiments) / cfg.tables
    splits = [split for split in dataset_of(cfg.data).find(["val"]) if split.card["kind"] == TWOAFC.kind]
    content, known = content_of(splits), _json(tables / DATA_FILE).get("data", {})
    if different := sorted(name for name in content if content[name] != known.get(name)):
        raise UserError(
            f"{tables}: its tables are not of the {different[0]} that is packed: run `make eval-tables` again"
        )
    found = []
    for row in scores.methods(TWOAFC.name):
        try:
            distances = distances_of(row, splits, Path(cfg.experiments))
        except UserError as error:
            log.warning("%s", error)
            continue
        by_split = {
            split.card["split"]: (distances[split.name]["d0"], distances[split.name]["d1"], split.votes)
            for split in splits
        }
        found.append(Judged(row.shown, row.group, by_split))
    return found


def _curves(cfg: ReportConfig) -> Picture:
    """The curves of the runs on these data, finished or not."""
    runs, simulated = [], False
    for folder in sorted(Path(cfg.experiments).glob(f"{cfg.data.name}-*")):
        if (folder / "metrics.csv").is_file() or (folder / "validation.csv").is_file():
            try:
                runs.append(read_curves(folder))
            except UserError as error:  # such as a run that was stopped before its first entry
                log.warning("%s", error)
                continue
            simulated = simulated or is_simulated(folder, cfg.data.name)
    return training_curves(runs, "simulated" if simulated else "")


def _lin_figures(cfg: ReportConfig) -> Iterator[tuple[str, tuple[str, Make]]]:
    for net in cfg.net.values():
        for version in cfg.versions if net.official_lin else ():
            label = f"{net.backbone} lin v{version}"
            paper = PAPER.get(net.backbone, ()) if version == "0.0" else ()

            state = functools.partial(official_lin_state, net.backbone, version, cfg.download)
            number = " (paper, Figure 10)" * bool(paper)
            draw = functools.partial(_lin_figure, state, f"{label}, {OFFICIAL}", paper)
            yield f"lin-{net.backbone}-v{version}", (f"lin weights of {label}, {OFFICIAL}{number}", draw)
    for run in find_runs(Path(cfg.experiments)):
        if run.data == cfg.data.name:
            said = f"{run.folder.name}" + ", SIMULATED judgments" * is_simulated(run.folder, run.data)
            draw = functools.partial(_lin_figure, run.state, said, ())
            yield f"lin-{run.folder.name}", (f"lin weights of {run.folder.name}", draw)


def _lin_figure(state: Callable[[], Mapping[str, Tensor]], title: str, paper: Sequence[float]) -> Picture:
    """The figure of a state that is read only now."""
    return lin_weights(state(), title, paper)


def _earlier(folder: Path) -> set[str]:
    """The figures of the report that is there."""
    return set(_json(folder / RECORD).get("made", {}))


def _json(file: Path) -> dict:
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
