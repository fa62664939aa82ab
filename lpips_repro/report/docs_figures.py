"""The figures of README and of the manual (`make docs-figures`): of published numbers, and of real judgments.

Judgments and distances are read from a folder next to the repository. It contains `bapps_val_judgments`, with CSV files
of index, d0, d1 and judge, and `bapps_val_distances`, with CSV files of index, d0 and d1 in a folder per method. If it
does not exist, the figures of real judgments are not drawn.
"""

import csv
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lpips_repro.datasets.split import Split
from lpips_repro.errors import UserError
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.evaluation.tables.differences import pairs_of
from lpips_repro.evaluation.tables.table import Bootstrap, Row, Table, add_scores
from lpips_repro.report.all_pairs import columns_of
from lpips_repro.report.figures import draw_methods, lin_weights, pairs_matrix, paper_methods, save_figure, split_bars
from lpips_repro.report.figures.scores import Scores
from lpips_repro.report.figures.style import PAGE, Picture
from lpips_repro.report.sparsity import PAPER
from lpips_repro.weights.official_lin import official_lin_state

SPLITS = TWOAFC.averages["all"]
FORMATS = ("svg",)
OWN = "alex-scratch"  # the method whose distances are in the files of judgments
VERSION = "0.0"  # the version of the paper's Figure 10


def write_docs_figures(folder: Path, reference: Path, shared: Path) -> list[Path]:
    """Write the figures to a folder, and return their paths. A line is printed per figure, with the reason if it fails.

    Args:
        folder: folder of the figures.
        reference: folder of the published tables.
        shared: folder of real judgments, which may be missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, draw in _figures(reference, shared):
        try:
            files += save_figure(draw(), folder, name, FORMATS)
        except UserError as error:
            print(f"left out: {name}: {error}")
        else:
            print(f"written: {files[-1]}")
    return files


def _figures(reference: Path, shared: Path) -> Iterator[tuple[str, Any]]:
    yield "figure5", lambda: draw_methods([paper_methods(reference)], PAGE / 2)
    for net, paper in PAPER.items():
        title = f"{net} lin v{VERSION}, official"
        yield f"figure10-{net}", lambda net=net, paper=paper, title=title: _lin(net, title, paper)
    yield "real-judgments", lambda: _bars(*_table(shared))
    yield "real-judgments-pairs", lambda: _pairs(*_table(shared))


def _lin(net: str, title: str, paper: Any) -> Picture:
    return lin_weights(official_lin_state(net, VERSION, download=False), title, paper)


def _bars(table: Table, _: Bootstrap) -> Picture:
    return split_bars(Scores({TWOAFC.name: [*table.rows]}, {TWOAFC.name: dict(table.counts)}))


def _pairs(table: Table, bootstrap: Bootstrap) -> Picture:
    *_, last = columns_of(table, pairs_of(table, bootstrap))
    return pairs_matrix(last)


class JudgedSplit(Split):
    """A 2AFC split of BAPPS that has judgments, but no images.

    Args:
        name: name of the split, such as "cnn".
        judge: shares of judges who chose p1, (N,).
    """

    def __init__(self, name: str, judge: np.ndarray):
        self.card = {"kind": TWOAFC.kind, "phase": "val", "split": name, "count": len(judge), "observers": "human"}
        self.judge = judge.astype(np.float32)

    @property
    def votes(self) -> np.ndarray:
        """The shares of judges who chose p1, float32 (N,)."""
        return self.judge

    @property
    def pixels(self) -> int:
        """0: there are no images."""
        return 0

    def read(self, items: range) -> list[np.ndarray]:
        """Raise UserError: there are no images."""
        raise UserError(f"{self.name}: has judgments, but no images")


@functools.cache
def _table(shared: Path) -> tuple[Table, Bootstrap]:
    """The 2AFC table of the methods with distances on real judgments, and its resamples."""
    judged = {name: _columns(shared / f"bapps_val_judgments/{name}.csv") for name in SPLITS}
    splits = [JudgedSplit(name, columns["judge"]) for name, columns in judged.items()]
    bootstrap = Bootstrap(TWOAFC, splits, 1000, 0)
    found: dict[str, Mapping[str, Any]] = {OWN: judged}
    for folder in sorted((shared / "bapps_val_distances").glob("*/")):
        found[folder.name] = {name: _columns(folder / f"2afc-val-{name}.csv") for name in SPLITS}
    rows = []
    for label, distances in found.items():
        rows.append(Row("lpips", label, observers="human"))
        add_scores(rows[-1], [distances], bootstrap)
    counts = {split.card["split"]: len(split) for split in splits}
    return Table(TWOAFC, rows, TWOAFC.columns(tuple(counts)), TWOAFC.counts(counts), ""), bootstrap


def _columns(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open(newline="") as file:
            lines = list(csv.DictReader(file))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    return {name: np.array([float(line[name]) for line in lines]) for name in lines[0]}
