"""Bars of the 2AFC scores of methods (paper, Figures 4 and 7 to 9)."""

import itertools
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from lpips_repro.errors import UserError
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.evaluation.tables.table import Row
from lpips_repro.report.figures.scores import Scores, with_scores
from lpips_repro.report.figures.style import (
    PAGE,
    Picture,
    bar_look,
    group_patch,
    in_lines,
    in_style,
    legend_below,
    look_of,
    name_observers,
    panels,
)

CHANCE = 50.0  # start of the bars
TITLES = {"distortions": "distortions", "real": "real algorithms"}
LINE, GAP = 0.15, 0.5  # height of a bar in inches; gap between groups in bars
NARROWEST = 2.2  # smallest width of a panel with names, in inches
MARGIN = 0.05  # space around the values, as a share of their range
PAPER: dict[str, Any] = {"marker": "D", "markersize": 3.0, "markerfacecolor": "white", "markeredgecolor": "black"}
CEILING: dict[str, Any] = {"color": "black", "linestyle": "--", "linewidth": 0.9}


@in_style
def twoafc_bars(scores: Scores, width: float = PAGE) -> Picture:
    """Return bars of the 2AFC scores of all methods, on distortions and on real algorithms.

    On data without the paper's splits, there is one panel with the mean of all splits.

    Args:
        scores: result of `read_scores`.
        width: width of the figure in inches.

    Raises:
        UserError: if no method has a 2AFC score.
    """
    columns = [column for column in TITLES if column in scores.columns(TWOAFC.name)]
    return _bars(scores, columns if len(columns) == len(TITLES) else ["all"], width)


@in_style
def split_bars(scores: Scores, width: float = PAGE) -> Picture:
    """Return bars of the 2AFC scores of all methods on each split; arguments and errors as for `twoafc_bars`."""
    columns = [column for column in scores.columns(TWOAFC.name) if column not in {*TWOAFC.averages, "all"}]
    return _bars(scores, columns, width)


def _bars(scores: Scores, columns: Sequence[str], width: float) -> Picture:
    rows = with_scores(scores.methods(TWOAFC.name), columns)
    if not any(column in row.scores for row in rows for column in columns):
        raise UserError("no method has a 2AFC score")
    names = [in_lines(row.shown) for row in rows]
    places = _places(rows, [1.6 if "\n" in name else 1.0 for name in names])
    height = LINE * (places[-1] + 1) + 0.6
    figure, axes = panels(len(columns), width, NARROWEST, height, sharey=True)
    ceiling = scores.ceiling(TWOAFC.name)
    for panel, column in zip(axes, columns, strict=True):
        _panel(panel, rows, places, column, ceiling)
        count = scores.counts.get(TWOAFC.name, {}).get(column)
        panel.set_title(TITLES.get(column, column) + (f" (n = {count:,})" if count else ""), loc="left")
        panel.set_xlabel("2AFC score (%)")
    axes[0].set_yticks(places, names)
    axes[0].set_ylim(places[-1] + 0.7, -0.7)
    handles: list[Any] = [group_patch(group) for group in dict.fromkeys(row.group for row in rows)]
    if any(row.paper.get(column) for row in rows for column in columns):
        handles.append(Line2D([], [], linestyle="", **PAPER, label="paper"))
    if ceiling:
        handles.append(Line2D([], [], **CEILING, label=ceiling.shown))
    legend_below(figure, handles, max(len(handle.get_label()) for handle in handles))
    name_observers(figure, scores.observers)
    return figure


def _panel(panel: Axes, rows: Sequence[Row], places: Sequence[float], column: str, ceiling: Row | None) -> None:
    seen = [CHANCE]
    for row, place in zip(rows, places, strict=True):
        if column in row.scores:
            score = row.scores[column]
            (bar,) = panel.barh(place, score - CHANCE, 0.78, CHANCE, **bar_look(look_of(row.group)))
            bar.set_gid(f"{column}/{row.label}")
            seen.append(score)
            if column in row.interval:
                low, high = row.interval[column]
                panel.plot([low, high], [place, place], color="white", linewidth=2.2, solid_capstyle="butt")
                panel.plot([low, high], [place, place], color="black", linewidth=0.9, marker="|", markersize=3.5)
                seen += [low, high]
        if column in row.paper:
            panel.plot(row.paper[column], place, **PAPER)
            seen.append(row.paper[column])
    if ceiling and column in ceiling.scores:
        panel.axvline(ceiling.scores[column], **CEILING)
        seen.append(ceiling.scores[column])
    low, high = min(seen), max(seen)
    beyond = MARGIN * (high - low)
    panel.set_xlim(low - beyond * (low < CHANCE), high + beyond)
    panel.axvline(CHANCE, color="black", linewidth=0.6)
    panel.locator_params(axis="x", nbins=6, steps=[1, 2, 5, 10])
    panel.grid(visible=False, axis="y")
    panel.tick_params(axis="y", length=0)


def _places(rows: Sequence[Row], sizes: Sequence[float]) -> list[float]:
    """The positions of bars, given their heights, with a gap between groups."""
    places = [0.0]
    for k, (before, row) in enumerate(itertools.pairwise(rows)):
        places.append(places[-1] + (sizes[k] + sizes[k + 1]) / 2 + GAP * (row.group != before.group))
    return places
