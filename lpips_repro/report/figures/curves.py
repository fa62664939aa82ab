"""Training curves of runs. Runs that differ only in the seed are one line with a band."""

import csv
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter

from lpips_repro.errors import UserError
from lpips_repro.files import finite_number
from lpips_repro.report.figures.style import (
    DASHES,
    LINES,
    PAGE,
    Picture,
    in_style,
    legend_below,
    name_observers,
    panels,
)

HEIGHT, NARROWEST = 1.6, 1.6  # height and smallest width of a panel, in inches
MARKERS = "os^vDPX*"
FILES = ("metrics.csv", "validation.csv")
# Title and unit of the columns of metrics.csv that are shown. All columns of validation.csv are shown.
TRAINING = {"loss": ("training loss", ""), "train_2afc": ("training 2AFC", "%")}

Series = Mapping[int, float]  # by step


@dataclass(frozen=True)
class Curves:
    """The logged values of a run.

    Attributes:
        name: name of the run; without_seed: its name without the seed.
        series: values by column of metrics.csv or validation.csv, then by step.
    """

    name: str
    without_seed: str
    series: Mapping[str, Series]


def read_curves(folder: str | Path) -> Curves:
    """Return the values that a training run has logged so far.

    Args:
        folder: folder of the run.

    Raises:
        UserError: if the folder has no entries of a training run.
    """
    folder = Path(folder)
    series: dict[str, dict[int, float]] = {}
    for file in (folder / name for name in FILES):
        for line in _lines(file):
            for column, text in line.items():
                if column in TRAINING or column.startswith("val_"):
                    series.setdefault(column, {})[int(line["step"])] = float(text)
    for column in TRAINING.keys() & series.keys():
        series[column] = _of_whole_windows(series[column])
    if not series:
        raise UserError(f"{folder}: no curves of a training run: neither {' nor '.join(FILES)} has any")
    before, _, after = re.sub(r"-seed\d+(?!.*-seed\d)", "\0", folder.name).partition("\0")
    return Curves(folder.name, before + after, series)


@in_style
def training_curves(runs: Sequence[Curves], observers: str = "", width: float = PAGE) -> Picture:
    """Return a figure of loss and 2AFC score over the steps.

    Runs that differ only in the seed are shown as their mean, with a band from the lowest to the highest value.

    Args:
        runs: results of `read_curves`.
        observers: "human", "simulated" or "unknown".
        width: width of the figure in inches.

    Raises:
        UserError: if there is no run.
    """
    if not runs:
        raise UserError("no training run has logged anything")
    groups: dict[str, list[Curves]] = {}
    for run in runs:
        groups.setdefault(run.without_seed, []).append(run)
    columns = _columns(runs)
    figure, axes = panels(len(columns), width, NARROWEST, HEIGHT)
    looks: list[dict[str, Any]] = [
        {"color": color, "linestyle": dash, "marker": marker, "markerfacecolor": "white"}
        for (color, dash), marker in zip(_color_and_dash(len(groups)), itertools.cycle(MARKERS), strict=False)
    ]
    handles: list[Any] = []
    for look, (name, seeds) in zip(looks, groups.items(), strict=True):
        for panel, column in zip(axes, columns, strict=True):
            _draw(panel, [seed.series[column] for seed in seeds if column in seed.series], look, f"{column}/{name}")
        shown = seeds[0].name if len(seeds) == 1 else f"{name} ({len(seeds)} seeds)"
        handles.append(Line2D([], [], **look, markersize=3.5, label=shown))
    for panel, column in zip(axes, columns, strict=True):
        title, unit = TRAINING.get(column, (f"2AFC, {column.removeprefix('val_')}", "%"))
        panel.set_title(title + (f" ({unit})" if unit else ""), loc="left")
        panel.locator_params(nbins=4)
        panel.xaxis.set_major_formatter(EngFormatter(sep=""))
        panel.set_xlabel("step")
        panel.set_xlim(left=0)
    legend_below(figure, handles, max(len(handle.get_label()) for handle in handles))
    name_observers(figure, observers)
    return figure


def _of_whole_windows(values: dict[int, float]) -> dict[int, float]:
    """Values without means over only a few steps, such as those between an entry and the end of an epoch."""
    steps = [0, *values]
    window = [after - before for before, after in itertools.pairwise(steps)]
    usual = float(np.median(window))
    return {step: value for (step, value), size in zip(values.items(), window, strict=True) if size >= usual / 2}


def _lines(file: Path) -> list[dict[str, str]]:
    """The rows of a file without empty cells; damaged rows are skipped, and a missing file has no rows."""
    try:
        with file.open(newline="") as opened:
            rows = [{name: text for name, text in row.items() if name and text} for row in csv.DictReader(opened)]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []
    return [row for row in rows if _is_whole(row)]


def _is_whole(row: Mapping[str, str]) -> bool:
    try:
        for text in row.values():
            finite_number(text)
    except ValueError:
        return False
    return re.fullmatch("[0-9]{1,18}", row.get("step", "")) is not None


def _columns(runs: Sequence[Curves]) -> list[str]:
    """The columns in order: loss, mean of the validation, 2AFC score of the training, validation splits."""
    there = list(dict.fromkeys(column for run in runs for column in run.series))
    first = [column for column in ("loss", "val_mean", "train_2afc") if column in there]
    splits = [column for column in there if column not in first]
    return first + (splits if len(splits) > 1 else [])


def _color_and_dash(count: int) -> list[tuple[str, Any]]:
    return [(LINES[k % len(LINES)], DASHES[(k + k // len(LINES)) % len(DASHES)]) for k in range(count)]


def _draw(panel: Axes, seeds: Sequence[Series], look: Mapping[str, Any], name: str) -> None:
    steps = sorted({step for series in seeds for step in series})
    if not steps:
        return
    values = np.array([[series.get(step, np.nan) for step in steps] for series in seeds])
    marks = max(1, len(steps) // 6)
    (line,) = panel.plot(steps, np.nanmean(values, axis=0), **look, markersize=3, markevery=marks)
    line.set_gid(name)
    if len(seeds) > 1:
        low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
        panel.fill_between(steps, low, high, color=look["color"], alpha=0.15, linewidth=0)
