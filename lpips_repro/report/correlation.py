"""Correlation of 2AFC and JND scores over the methods of tables (paper, Table 4 and Figure 5; `make correlation`)."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig
from tabulate import tabulate

from lpips_repro.config import CorrelationConfig, parse
from lpips_repro.config.checks import check_writable
from lpips_repro.errors import UserError, check_choice
from lpips_repro.evaluation.protocols.jnd import JND
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.evaluation.tables.reader import read_rows
from lpips_repro.evaluation.tables.table import Row
from lpips_repro.evaluation.tables.task_correlation import task_correlation
from lpips_repro.evaluation.tables.writer import judged_by, notes_of
from lpips_repro.files import write_csv, written_together
from lpips_repro.files.locks import exclusive
from lpips_repro.metrics.lpips import VERSIONS
from lpips_repro.report.figures.style import save_figure
from lpips_repro.report.figures.task_scatter import ALEXNET_LIKE, Methods, draw_methods, methods_of, paper_methods

X, Y = TWOAFC, JND
COLUMNS = ("source", "methods", "number", "rho", "rho_lo", "rho_hi", X.name, Y.name, "observers", "settings", "note")
ALL = "all"
# The number of Table 4 for 2AFC with JND, over "AlexNet-like architectures".
TABLE4 = {"source": "paper, Table 4", "methods": ALEXNET_LIKE, "rho": "0.928", X.name: "distortions", Y.name: "all"}
CAPTION = (
    "Pearson's rho of 2AFC score and JND mAP over methods. 95 % intervals: bootstrap over the methods, without the"
    " noise of each score. AlexNet-like: off the shelf, as in the paper."
)


def write_correlation(composed: DictConfig) -> None:
    """Write `correlation.csv` and a figure to the folder of the tables, and print the correlation.

    Args:
        composed: composed settings (`configs/correlation.yaml`).

    Raises:
        UserError: if a table is missing, or fewer than 3 methods have both scores.
    """
    cfg = parse(composed, CorrelationConfig)
    check_choice("version", cfg.version, VERSIONS)
    folder = Path(cfg.experiments) / cfg.name
    paper = paper_methods(Path(cfg.reference))
    figure, left_out = _methods(folder, cfg.version)
    check_writable("experiments", folder)
    in_paper, here = _lines(paper, cfg), _lines(figure, cfg)
    lines = [*in_paper, TABLE4 | {"observers": "human"}, *here]
    with exclusive(folder), written_together(folder) as new:
        write_csv(new / "correlation.csv", lines, COLUMNS)
        files = save_figure(draw_methods([paper, figure]), new, "correlation")
    judged = judged_by(figure.observers)
    print(f"{CAPTION}\n{judged}\n\n{_render(lines)}\n{notes_of(left_out)}")
    written = [folder / name for name in ("correlation.csv", *(file.name for file in files))]
    print(f"written: {', '.join(map(str, written))}")


def _methods(folder: Path, version: str) -> tuple[Methods, list[Row]]:
    """The methods with scores in both tables of a folder, and the other rows, with the reason in `note`."""
    rows = {kind: [row for row in read_rows(folder, kind) if row.group != "observers"] for kind in (X, Y)}
    tables = {kind: {row.label: row for row in found if row.scores} for kind, found in rows.items()}
    left_out = {row.label: row for found in rows.values() for row in found if not row.scores}
    for kind, other in ((X, Y), (Y, X)):
        for label in tables[kind].keys() - tables[other].keys() - left_out.keys():
            note = f"left out: has no row in {other.file}.csv"
            left_out[label] = dataclasses.replace(tables[kind][label], note=note)
    judges = {row.observers for found in rows.values() for row in found}
    observers = next((name for name in ("simulated", "unknown") if name in judges), "human")
    source = f"{folder} (SIMULATED judgments)" if observers == "simulated" else str(folder)
    found = methods_of([*tables[X].values()], [*tables[Y].values()], source, observers, version)
    return found, list(left_out.values())


def _lines(figure: Methods, cfg: CorrelationConfig) -> list[dict[str, str]]:
    """The lines of the table for a figure: over all methods, and over the AlexNet-like ones if these are enough."""
    lines = []
    for methods, points in ((ALL, figure.points), (ALEXNET_LIKE, [point for point in figure.points if point.filled])):
        line = {"source": figure.source, "methods": methods, "number": str(len(points)), X.name: figure.column}
        line |= {Y.name: "all", "observers": figure.observers}
        try:
            found = task_correlation([p.x for p in points], [p.y for p in points], cfg.bootstrap, cfg.seed)
        except UserError as error:
            if methods == ALL:
                raise UserError(f"{figure.source}: {error}") from error
            lines.append(line | {"note": f"not computed: {error}"})
            continue
        line |= {"rho": f"{found.rho:.3f}", "rho_lo": f"{found.low:.3f}", "rho_hi": f"{found.high:.3f}"}
        settings = f"{figure.settings} bootstrap={cfg.bootstrap} seed={cfg.seed}".strip()
        lines.append(line | {"settings": settings})
    return lines


def _render(lines: Sequence[Mapping[str, str]]) -> str:
    shown = []
    for line in lines:
        cells = {key: line.get(key, "") for key in ("source", "methods", "number", "rho")}
        cells["95 % interval"] = f"{line['rho_lo']} to {line['rho_hi']}" if "rho_lo" in line else ""
        shown.append(cells | {"2AFC": line[X.name], "JND": line[Y.name]})
    table = tabulate(shown, headers="keys", tablefmt="simple", disable_numparse=True)
    notes = [f"- {line['source']}, {line['methods']}: {line['note']}" for line in lines if "note" in line]
    return "\n".join([table, *([""] if notes else []), *notes])
