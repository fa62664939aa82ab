"""The figures of a report: the name, the title and the function of each."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from lpips_repro.config import ReportConfig
from lpips_repro.errors import UserError
from lpips_repro.evaluation.methods.finished_runs import find_runs
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.report.figure_inputs import Inputs
from lpips_repro.report.figures import (
    binomial_fit,
    disagreement_grid,
    draw_methods,
    jnd_against_twoafc,
    lin_weights,
    pairs_matrix,
    paper_methods,
    split_bars,
    training_curves,
    twoafc_bars,
    unanimity,
)
from lpips_repro.report.figures.style import PAGE, Picture
from lpips_repro.report.sparsity import PAPER, is_simulated
from lpips_repro.weights.official_lin import official_lin_state


@dataclass(frozen=True)
class Entry:
    """A figure of a report.

    Attributes:
        name: name of its files; title: its title.
        draw: returns the figure, or raises UserError if something that it needs is missing.
    """

    name: str
    title: str
    draw: Callable[[], Picture]


def figures_of(inputs: Inputs) -> list[Entry]:
    """Return all figures that a report may have."""
    cfg = inputs.cfg
    reference = Path(cfg.reference)
    return [
        Entry("2afc", "2AFC scores (paper, Figure 4)", lambda: twoafc_bars(inputs.scores)),
        Entry("2afc-splits", "2AFC scores by split (paper, Figures 7 to 9)", lambda: split_bars(inputs.scores)),
        Entry("jnd-2afc", "JND against 2AFC (paper, Figure 5)", lambda: jnd_against_twoafc(inputs.scores, cfg.version)),
        Entry("jnd-2afc-paper", "the paper's own Figure 5", lambda: draw_methods([paper_methods(reference)], PAGE / 2)),
        Entry(
            "unanimity",
            "2AFC scores by how far judges agree",
            lambda: unanimity(inputs.judged, inputs.scores.observers),
        ),
        Entry(
            "binomial-fit",
            "fit of the binomial model of the votes",
            lambda: binomial_fit(inputs.judged, inputs.scores.observers),
        ),
        Entry("pairs-2afc", "differences between all pairs, 2AFC", lambda: pairs_matrix(inputs.pairs_on("2afc"))),
        Entry("pairs-jnd", "differences between all pairs, JND", lambda: pairs_matrix(inputs.pairs_on("jnd"))),
        *_disagreements(inputs),
        Entry("training", "training curves", lambda: training_curves(inputs.curves, inputs.observers_of_runs)),
        *_lin_weights(cfg),
    ]


def _disagreements(inputs: Inputs) -> Iterator[Entry]:
    numbers = {"distortions": " (paper, Figure 6)", "real": " (paper, Figure 11)"}
    try:
        is_bapps = numbers.keys() <= set(inputs.scores.columns(TWOAFC.name))
    except UserError:
        is_bapps = False
    for average in numbers if is_bapps else ("all",):
        name = f"disagreements-{average}" if is_bapps else "disagreements"
        title = f"triplets that a metric and a network disagree on, {average}{numbers.get(average, '')}"
        yield Entry(name, title, functools.partial(_grid, inputs, average))


def _grid(inputs: Inputs, average: str) -> Picture:
    return disagreement_grid(inputs.disagreements(average), inputs.splits)


def _lin_weights(cfg: ReportConfig) -> Iterator[Entry]:
    for net in cfg.net.values():
        for version in cfg.versions if net.official_lin else ():
            label = f"{net.backbone} lin v{version}, official"
            paper = PAPER.get(net.backbone, ()) if version == "0.0" else ()
            state = functools.partial(official_lin_state, net.backbone, version, cfg.download)
            title = f"lin weights of {label}{' (paper, Figure 10)' * bool(paper)}"
            yield Entry(
                f"lin-{net.backbone}-v{version}", title, functools.partial(_draw_lin_weights, state, label, paper)
            )
    for run in find_runs(Path(cfg.experiments)):
        if run.data == cfg.data.name:
            name = run.folder.name
            label = f"{name}{', SIMULATED judgments' * is_simulated(run.folder, run.data)}"
            draw = functools.partial(_draw_lin_weights, run.state, label, ())
            yield Entry(f"lin-{name}", f"lin weights of {name}", draw)


def _draw_lin_weights(state: Callable[[], Mapping[str, Tensor]], title: str, paper: Sequence[float]) -> Picture:
    return lin_weights(state(), title, paper)
