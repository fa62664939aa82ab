"""Comparison of all published figures with ours."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lpips_repro.errors import UserError
from lpips_repro.evaluation.protocols import PROTOCOLS, Protocol
from lpips_repro.evaluation.tables.paper_figures import read_paper
from lpips_repro.evaluation.tables.reader import read_rows
from lpips_repro.evaluation.tables.table import Row
from lpips_repro.files import CsvLine, read_csv, write_csv
from lpips_repro.report.correlation import ALEXNET_LIKE, TABLE4
from lpips_repro.report.sparsity import PAPER as FIGURE10

NEAR = 0.5  # percentage points
# Half of the last decimal of a published figure, by column; other columns have one decimal.
ROUNDING = {"rho": 0.0005}
NOT_RUN, SIMULATED = "not run", "not comparable: simulated"
INSIDE, WITHIN, OUTSIDE = "inside the interval", f"within {NEAR}", "outside"


@dataclass(frozen=True)
class Cell:
    """A published figure and ours.

    Attributes:
        where: table or figure of the paper; row, column: its row and column there.
        paper, ours: the figures, in percent (rho: a correlation); ours is None if it was not run.
        label: label of our row, empty if there is none.
        interval: 95 % interval of our figure, if there is one.
        note: why there is no figure of ours.
        simulated: whether our judgments are simulated, so that the figures cannot be compared.
    """

    where: str
    row: str
    column: str
    paper: float
    label: str = ""
    ours: float | None = None
    interval: tuple[float, float] | None = None
    note: str = ""
    simulated: bool = False

    @property
    def verdict(self) -> str:
        """One of the verdicts of this module. The interval is extended by the rounding of the paper's figure."""
        if self.ours is None:
            return NOT_RUN
        if self.simulated:
            return SIMULATED
        rounding = ROUNDING.get(self.column, 0.05)
        if self.interval and self.interval[0] - rounding <= self.paper <= self.interval[1] + rounding:
            return INSIDE
        near = NEAR / 100 if self.column in ROUNDING else NEAR
        return WITHIN if abs(self.ours - self.paper) <= near + 1e-9 else OUTSIDE


def compare(folder: Path, sparsity: Path, reference: Path, names: Mapping[str, str], version: str) -> list[Cell]:
    """Return all published figures of Table 5, Figure 5 (JND), Table 4 and Figure 10, with ours.

    Args:
        folder: folder of our tables and correlation.
        sparsity: folder of our shares of zero lin weights.
        reference: folder of the published tables.
        names: names of our methods in the published tables, such as {"l2-rgb": "l2"}.
        version: version of the networks that are compared.

    Raises:
        UserError: if a published table is missing.
    """
    cells: list[Cell] = []
    for protocol in PROTOCOLS.values():
        if protocol.paper:
            cells += _of_table(folder, protocol, read_paper(reference, protocol), names, version)
    return [*cells, *_of_correlation(folder), *_of_sparsity(sparsity, version)]


def paper_key(row: Row, names: Mapping[str, str]) -> tuple[str, str]:
    """Return the method and the variant of a row as published; the variant is empty if a network has only one."""
    variants = {"supervised": "off-the-shelf", "lpips": row.variant}
    return names.get(row.method, row.method), variants.get(row.group, "")


def _of_table(
    folder: Path,
    protocol: Protocol,
    paper: Mapping[tuple[str, str], dict[str, float]],
    names: Mapping[str, str],
    version: str,
) -> Iterator[Cell]:
    try:
        rows = read_rows(folder, protocol)
        missing = "no such row in the table"
    except UserError as error:
        rows, missing = [], str(error)
    where = f"{protocol.title.partition(' (')[0]}"
    for key, figures in paper.items():
        ours = [row for row in rows if paper_key(row, names) == key and row.version in ("", version)]
        shown: list[Row | None] = [row for row in ours if row.scores] or [*ours[:1]]
        for row in shown or [None]:
            for column, figure in figures.items():
                yield _cell(where, " ".join(filter(None, key)), column, figure, row, missing)


def _cell(where: str, name: str, column: str, figure: float, row: Row | None, missing: str) -> Cell:
    if row is None:
        return Cell(where, name, column, figure, note=missing)
    if column not in row.scores:
        return Cell(where, name, column, figure, row.label, note=row.note or "no such column in the table")
    simulated = row.observers != "human"
    return Cell(
        where, name, column, figure, row.label, row.scores[column], row.interval.get(column), simulated=simulated
    )


def _of_correlation(folder: Path) -> Iterator[Cell]:
    what = ("Table 4: correlation of 2AFC with JND", "AlexNet-like networks", "rho", float(TABLE4["rho"]))
    lines = [line for line in _lines(folder / "correlation.csv") if line["methods"] == ALEXNET_LIKE]
    ours = next((line for line in lines if line["source"].startswith(str(folder))), None)
    if ours is None or not ours["rho"]:
        yield Cell(*what, note=ours["note"] if ours else f"{folder / 'correlation.csv'}: not written")
        return
    interval = ours.number("rho_lo"), ours.number("rho_hi")
    yield Cell(*what, folder.name, ours.number("rho"), interval, simulated=ours["observers"] != "human")


def _of_sparsity(folder: Path, version: str) -> Iterator[Cell]:
    lines = _lines(folder / "sparsity.csv")
    for net, figures in FIGURE10.items():
        ours: list[CsvLine | None] = [
            line for line in lines if line["label"] == f"{net} lin v{version}" and line["all"]
        ]
        for line in ours or [None]:
            for layer, figure in enumerate(figures, 1):
                what = ("Figure 10: lin weights that are zero", f"{net} lin", f"conv{layer}", figure)
                if line is None:
                    yield Cell(*what, note=f"{folder / 'sparsity.csv'}: no such row")
                else:
                    simulated = "SIMULATED" in line["source"]
                    label = f"{line['label']} ({line['source']})"
                    yield Cell(*what, label, line.number(f"layer{layer}"), simulated=simulated)


def _lines(path: Path) -> list[CsvLine]:
    return read_csv(path, "move it elsewhere: the same command writes it again") if path.is_file() else []


def write_cells(path: Path, cells: Sequence[Cell]) -> None:
    """Write all cells as a CSV."""
    write_csv(path, map(_line_of, cells))


def _line_of(cell: Cell) -> dict[str, object]:
    low, high = cell.interval or ("", "")
    line = {"where": cell.where, "row": cell.row, "column": cell.column, "paper": cell.paper}
    line |= {"ours": "" if cell.ours is None else cell.ours, "low": low, "high": high}
    line["difference"] = "" if cell.ours is None else f"{cell.ours - cell.paper:+.4g}"
    return line | {"verdict": cell.verdict, "label": cell.label, "note": cell.note}
