"""`REPRODUCTION.md`: the published figures and ours, the decisions, and the times of the steps."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from tabulate import tabulate

from lpips_repro.evaluation.tables.escape import markdown
from lpips_repro.evaluation.tables.writer import judged_by
from lpips_repro.paper.comparison import INSIDE, NOT_RUN, OUTSIDE, SIMULATED, WITHIN, Cell

VERDICTS = (INSIDE, WITHIN, OUTSIDE, SIMULATED, NOT_RUN)
EXPLANATION = f"""\
Verdicts: "{INSIDE}" means that the published figure is in our 95 % bootstrap interval, extended by 0.05 on both sides
because the figure is rounded. "{WITHIN}" means that it is outside of the interval, but at most 0.5 points from ours.
All other figures are "{OUTSIDE}"."""
DECISIONS = {
    "version": "the metric's version; the paper's figures most likely come from 0.0",
    "trainer.schedule": "the paper does not give the steps of the decay",
    "trainer.activation": "of the ranking network: the paper says ReLU, the released code has LeakyReLU",
    "trainer.scratch_init": "the paper says Gaussian, the released code has torchvision's default",
    "trainer.released_clamp": "the released code also clamps convolutions of the backbone, a bug",
    "trainer.epochs": "epochs at the base rate",
    "trainer.decay_epochs": "epochs of the decay",
    "trainer.batch_size": "triplets per batch",
    "data.resize": "how images of 256x256 are scaled to 64x64",
}


def reproduction_page(
    cells: Sequence[Cell],
    data: str,
    observers: str,
    settings: Mapping[str, Any],
    steps: Mapping[str, Mapping[str, Any]],
    report: str = "",
) -> str:
    """Return the page as Markdown.

    Args:
        cells: all published figures with ours.
        data: name of the dataset; observers: its observers.
        settings: settings of the trainings by full name.
        steps: state, time and reason of each step, by name.
        report: address of the report's page, if there is one.
    """
    parts = [f"# Reproduction of the paper on {data}", judged_by(observers)]
    if report:
        parts.append(f"[The report]({report}) has the figures, all tables and the examples.")
    parts += [EXPLANATION, _summary(cells)]
    for where, own in groupby(cells, lambda cell: cell.where):
        parts += [f"## {where}", _table(list(own))]
    parts += ["## Decisions that the paper leaves open", _decisions(settings), "## Steps", _steps(steps)]
    return "\n\n".join(parts) + "\n"


def _summary(cells: Iterable[Cell]) -> str:
    counts = Counter((cell.where, cell.verdict) for cell in cells)
    places = dict.fromkeys(where for where, _ in counts)
    rows = [[where, *(counts[where, verdict] or "" for verdict in VERDICTS)] for where in places]
    return tabulate(rows, ("published figures", *VERDICTS), tablefmt="github")


def _table(cells: Sequence[Cell]) -> str:
    """The figures of each row of the paper, then ours with intervals and verdicts."""
    columns = list(dict.fromkeys(cell.column for cell in cells))
    lines = []
    for name, of_row in groupby(cells, lambda cell: cell.row):
        by_label = {label: list(own) for label, own in groupby(of_row, lambda cell: cell.label)}
        first = next(iter(by_label.values()))
        lines.append([name, "paper", *_in_order(columns, {cell.column: f"{cell.paper:g}" for cell in first})])
        for label, own in by_label.items():
            if all(cell.ours is None for cell in own):
                reason = own[0].note.removeprefix(f"{NOT_RUN}: ")
                lines.append(["", markdown(f"{NOT_RUN}: {reason}"), *[""] * len(columns)])
                continue
            ours = {cell.column: _figure(cell) for cell in own if cell.ours is not None}
            verdicts = {cell.column: _verdict(cell) for cell in own}
            lines.append(["", markdown(label), *_in_order(columns, ours)])
            lines.append(["", "difference, verdict", *_in_order(columns, verdicts)])
    return tabulate(lines, ("row", "of", *columns), tablefmt="github", disable_numparse=True)


def _figure(cell: Cell) -> str:
    decimals = 3 if cell.column == "rho" else 2
    interval = f" ({cell.interval[0]:.{decimals}f}–{cell.interval[1]:.{decimals}f})" if cell.interval else ""
    return f"{cell.ours:.{decimals}f}{interval}"


def _verdict(cell: Cell) -> str:
    decimals = 3 if cell.column == "rho" else 2
    return cell.verdict if cell.ours is None else f"{cell.ours - cell.paper:+.{decimals}f}, {cell.verdict}"


def _in_order(columns: Sequence[str], values: Mapping[str, str]) -> list[str]:
    return [values.get(column, "") for column in columns]


def _decisions(settings: Mapping[str, Any]) -> str:
    rows = [(f"`{key}`", settings[key], why) for key, why in DECISIONS.items() if key in settings]
    return tabulate(rows, ("setting", "value", ""), tablefmt="github", disable_numparse=True)


def _steps(steps: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        (name, step["state"], _time(step.get("seconds")), markdown(step.get("reason", "")))
        for name, step in steps.items()
    ]
    return tabulate(rows, ("step", "state", "time", "reason"), tablefmt="github", disable_numparse=True)


def _time(seconds: float | None) -> str:
    return "" if seconds is None else duration(seconds)


def duration(seconds: float) -> str:
    """Return a time as text, such as 40 s, 12 min or 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
