"""JND mAP against 2AFC score over methods, with their correlation (paper, Figure 5)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lpips_repro.errors import UserError
from lpips_repro.evaluation.methods.method import GROUPS
from lpips_repro.evaluation.protocols.jnd import JND
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.evaluation.tables.paper_figures import read_figure5
from lpips_repro.evaluation.tables.table import Row
from lpips_repro.evaluation.tables.task_correlation import MIN_METHODS, pearson
from lpips_repro.report.figures.scatter import Point, group_marker, label_points, scatter
from lpips_repro.report.figures.scores import Scores
from lpips_repro.report.figures.style import PAGE, Picture, in_style, legend_below, name_observers, panels

ALEXNET_LIKE = "AlexNet-like"
HEIGHT, NARROWEST = 3.1, 3.0  # height and smallest width of a panel, in inches


@dataclass(frozen=True)
class Methods:
    """Methods with both scores.

    Attributes:
        source: title of the methods, such as "paper, Figure 5".
        column: column of the 2AFC table.
        observers: "human", "simulated" or "unknown".
        points: x is the 2AFC score, y the mean JND mAP; AlexNet-like methods are filled.
        settings: settings that chose the methods, as text.
    """

    source: str
    column: str
    observers: str
    points: list[Point]
    settings: str = ""


@in_style
def jnd_against_twoafc(scores: Scores, version: str = "0.0", width: float = PAGE / 2) -> Picture:
    """Return a figure of JND mAP over 2AFC score, with error bars and Pearson's rho.

    Args:
        scores: result of `read_scores`.
        version: version that is used of a network with both versions.
        width: width of the figure in inches.

    Raises:
        UserError: if no method has both scores.
    """
    methods = methods_of(scores.methods(TWOAFC.name), scores.methods(JND.name), "", scores.observers, version)
    return draw_methods([methods], width)


@in_style
def draw_methods(figures: Sequence[Methods], width: float = PAGE) -> Picture:
    """Return a figure with a panel for each of some sets of methods.

    Raises:
        UserError: if one has no methods.
    """
    for one in figures:
        if not one.points:
            raise UserError("no method has both a 2AFC and a JND score")
    figure, axes = panels(len(figures), width, NARROWEST, HEIGHT)
    for panel, one in zip(axes, figures, strict=True):
        scatter(panel, one.points)
        panel.set_title("\n".join(filter(None, (one.source, rho_of(one.points)))), loc="left")
        panel.set_xlabel(f"2AFC score, {one.column} (%)")
        panel.set_ylabel(JND.title)
    groups = {point.group for one in figures for point in one.points}
    handles = [group_marker(group) for group in sorted(groups, key=_place)]
    legend_below(figure, handles, max(map(len, groups)))
    if len(figures) == 1:  # otherwise the titles name the observers
        name_observers(figure, figures[0].observers)
    label_points(figure, [(panel, one.points) for panel, one in zip(axes, figures, strict=True)])
    return figure


def rho_of(points: Sequence[Point]) -> str:
    """Return the correlation over all methods and over the AlexNet-like ones as text; "" if there are too few."""
    parts = []
    for which, name in ((points, "methods"), ([one for one in points if one.filled], f"{ALEXNET_LIKE} ones (filled)")):
        x, y = np.array([(one.x, one.y) for one in which]).T if which else np.empty((2, 0))
        if len(x) >= MIN_METHODS and np.ptp(x) and np.ptp(y):
            parts.append(f"rho = {pearson(x, y):.3f} over {len(x)} {name}")
    return ", ".join(parts).replace(", rho =", ",").replace(", ", ",\n")


def paper_methods(reference: Path) -> Methods:
    """Return the methods of the paper's Figure 5."""
    points = []
    for row in read_figure5(reference):
        scores = row.number("twoafc_distortions"), row.number("jnd_map")
        points.append(Point(row["method"], row["group"], *scores, row["alexnet_like"] == "1"))
    return Methods("paper, Figure 5", "distortions", "human", points)


def methods_of(twoafc: Sequence[Row], jnd: Sequence[Row], source: str, observers: str, version: str) -> Methods:
    """Return the methods with both scores, each network in one version.

    Args:
        twoafc, jnd: rows of the two tables.
        source, observers: see `Methods`.
        version: version that is used of a network with both versions.
    """
    of_jnd = {row.label: row for row in jnd if "all" in row.scores}
    both = [row for row in twoafc if row.label in of_jnd]
    column = "distortions" if any("distortions" in row.scores for row in both) else "all"
    chosen = [row for row in _in_one_version(both, version) if column in row.scores]
    points = [
        Point(
            label,
            row.group,
            row.scores[column],
            of_jnd[row.label].scores["all"],
            is_alexnet_like(row),
            row.interval.get(column),
            of_jnd[row.label].interval.get("all"),
        )
        for row, label in zip(chosen, _short_labels(chosen), strict=True)
    ]
    return Methods(source, column, observers, points, f"version={version}")


def is_alexnet_like(row: Row) -> bool:
    """Return whether the paper's correlation includes a row: an AlexNet off the shelf, named `alex` or `alex-...`."""
    return row.variant == "off_the_shelf" and re.fullmatch("alex(-.+)?", row.method) is not None


def _in_one_version(rows: Sequence[Row], version: str) -> list[Row]:
    """Each network once, in this version if it exists."""
    chosen: dict[tuple[str, ...], Row] = {}
    for row in rows:
        key = (row.method, row.variant, row.origin, row.seed)
        if key not in chosen or row.version == version:
            chosen[key] = row
    return list(chosen.values())


def _short_labels(rows: Sequence[Row]) -> list[str]:
    """Names as in the paper's figure, such as alex and alex-lin; full names if two would be the same."""
    short = [row.method + f"-{row.variant}" * (row.variant not in ("", "off_the_shelf")) for row in rows]
    return [label if short.count(label) == 1 else row.shown for row, label in zip(rows, short, strict=True)]


def _place(group: str) -> int:
    return GROUPS.index(group) if group in GROUPS else len(GROUPS)
