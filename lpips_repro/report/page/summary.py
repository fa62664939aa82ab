"""The tables of the page: scores with intervals, the paper's figures, and which differences are within chance."""

import copy
import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lpips_repro.evaluation.protocols import PROTOCOLS, Protocol
from lpips_repro.evaluation.protocols.mos import MOS
from lpips_repro.evaluation.tables.differences import FILE as DIFFERENCES
from lpips_repro.evaluation.tables.kept_tables import FILE as DATA_FILE
from lpips_repro.evaluation.tables.reader import read_rows
from lpips_repro.evaluation.tables.table import Row
from lpips_repro.files import finish_writing
from lpips_repro.report.all_pairs import is_decided
from lpips_repro.report.figures.scores import OBSERVERS

# The lines of differences.csv, by label and column.
Differences = Mapping[tuple[str, str], Mapping[str, str]]


@dataclass(frozen=True)
class Column:
    """A column: its name, its heading, the number of examples, and of which columns it is the mean, if it is one."""

    name: str
    shown: str
    count: int | None
    members: Sequence[str]


@dataclass(frozen=True)
class Cell:
    """A score as it is shown.

    Attributes:
        text: the score; value: the same as the CSV has it, by which the column is sorted; "" if there is none.
        below: what is written below it: interval, spread over seeds, the paper's figure, the difference from it.
        is_tie: whether the data do not carry its difference from the baseline; why: the numbers of that.
    """

    text: str = "–"
    value: str = ""
    below: Mapping[str, str] = field(default_factory=dict)
    is_tie: bool = False
    why: str = ""


@dataclass(frozen=True)
class Line:
    """A row with its cells, one per column; paper, difference: of the first column; settings: as JSON."""

    row: Row
    cells: Sequence[Cell]
    paper: str
    difference: str
    settings: str


@dataclass(frozen=True)
class Summary:
    """A table of the page.

    Attributes:
        name: of its files; kind: of its protocol; lines: the rows with scores; without: the others.
        columns: the one that sums a row up first, so that it is in view next to the methods.
        best_first: "asc" if lower scores are better, else "desc".
        baseline: the label of the row that ties are with, "" if there is none; is_best: whether it has the best score.
        csv: the file as text; records: its rows, numbers as numbers.
    """

    name: str
    kind: str
    title: str
    columns: Sequence[Column]
    lines: Sequence[Line]
    without: Sequence[Row]
    best_first: str
    baseline: str
    is_best: bool
    csv: str = field(repr=False)
    records: Sequence[Mapping[str, Any]] = field(repr=False)

    @property
    def has_paper(self) -> bool:
        """Whether any row has a published figure in the first column."""
        return any(line.paper for line in self.lines)

    @property
    def has_ties(self) -> bool:
        """Whether any cell is marked as one."""
        return any(cell.is_tie for line in self.lines for cell in line.cells)


def read_summaries(folder: Path, counts: Mapping[str, Mapping[str, int]]) -> list[Summary]:
    """The tables in a folder, in the order of the protocols; empty if it has none.

    Args:
        counts: how many examples a column has, by the name of the protocol.

    Raises:
        UserError: if a file is not what `make eval-tables` writes.
    """
    finish_writing(folder)
    return [_summary(folder, protocol, counts.get(protocol.name, {})) for protocol in _protocols(folder)]


def _protocols(folder: Path) -> Iterator[Protocol]:
    """The protocols of the tables in a folder; mean opinion scores have files with the name of their dataset."""
    try:
        written = json.loads((folder / DATA_FILE).read_text())["tables"]
    except (OSError, ValueError, KeyError, TypeError):
        written = []
    by_file = {protocol.file: protocol for protocol in PROTOCOLS.values()}
    for name in dict.fromkeys([*by_file, *written]):
        if (folder / f"{name}.csv").is_file():
            protocol = copy.copy(by_file.get(name, MOS))
            protocol.file, protocol.title = name, by_file[name].title if name in by_file else name
            yield protocol


def _summary(folder: Path, protocol: Protocol, counts: Mapping[str, int]) -> Summary:
    rows = read_rows(folder, protocol)
    text = (folder / f"{protocol.file}.csv").read_bytes().decode()
    made = [row for row in rows if row.scores]
    columns = _columns(protocol, made, counts)
    differences = _differences(folder / DIFFERENCES, protocol)
    baseline = next((one["baseline"] for one in differences.values()), "")
    return Summary(
        name=protocol.file,
        kind=protocol.name,
        title=protocol.title,
        columns=columns,
        lines=[_line(row, columns, protocol, differences) for row in made],
        without=[row for row in rows if not row.scores],
        best_first="asc" if protocol.best is min else "desc",
        baseline=baseline,
        is_best=_is_best(made, baseline, columns, protocol),
        csv=text,
        records=_records(text, columns),
    )


def _columns(protocol: Protocol, rows: Sequence[Row], counts: Mapping[str, int]) -> list[Column]:
    """The columns that any row has a score in; the last one of the file, which sums a row up, is the first."""
    names = list(dict.fromkeys(name for row in rows for name in row.scores))
    if not names:
        return []
    blocks = protocol.blocks(names)
    last = {[*of.values()][-1]: [*of.values()][:-1] for of in blocks.values() if of}
    averages = protocol.averages if tuple(names) == protocol.columns_in_order else last
    headings = {column: f"{block} {shown}".strip() for block, of in blocks.items() for shown, column in of.items()}
    in_order = [names[-1], *names[:-1]]
    return [Column(name, headings.get(name, name), counts.get(name), averages.get(name, ())) for name in in_order]


def _differences(path: Path, protocol: Protocol) -> Differences:
    if not path.is_file():
        return {}
    with path.open(newline="") as file:
        return {(line["label"], line["split"]): line for line in csv.DictReader(file) if line["kind"] == protocol.name}


def _line(row: Row, columns: Sequence[Column], protocol: Protocol, differences: Differences) -> Line:
    first = columns[0].name
    settings = json.dumps(row.settings, indent=2, ensure_ascii=False, default=str)
    cells = [_cell(row, column.name, protocol, differences.get((row.label, column.name))) for column in columns]
    return Line(row, cells, _paper(row, first), _difference(row, first, protocol), settings)


def _cell(row: Row, column: str, protocol: Protocol, difference: Mapping[str, str] | None) -> Cell:
    if column not in row.scores:
        return Cell()
    below = {}
    if column in row.interval:
        below["interval"] = protocol.interval.format(*row.interval[column])
    if column in row.spread:
        below["seeds"] = f"±{row.spread[column]:.{protocol.shown}f}"
    if column in row.paper:
        below["paper"] = f"paper {_paper(row, column)}"
        below["difference"] = _difference(row, column, protocol)
    score = row.scores[column]
    is_tie, why = _chance(difference)
    return Cell(f"{score:.{protocol.shown}f}", f"{score:.{protocol.decimals}f}", below, is_tie, why)


def _chance(line: Mapping[str, str] | None) -> tuple[bool, str]:
    """Whether a difference is within chance, and its numbers."""
    if not line or not line["p_holm"]:
        return False, ""
    why = "{difference} from {baseline}, 95 % interval {low} to {high}, p = {p_holm} (Holm)".format(**line)
    return not is_decided(float(line["p_holm"])), why


def _paper(row: Row, column: str) -> str:
    return f"{row.paper[column]:.1f}" if column in row.paper else ""


def _difference(row: Row, column: str, protocol: Protocol) -> str:
    both = column in row.paper and column in row.scores
    return f"{row.scores[column] - row.paper[column]:+.{protocol.shown}f}" if both else ""


def _is_best(rows: Sequence[Row], baseline: str, columns: Sequence[Column], protocol: Protocol) -> bool:
    if not columns:
        return False
    first = columns[0].name
    scores = {row.label: row.scores[first] for row in rows if row.group != OBSERVERS and first in row.scores}
    return baseline in scores and scores[baseline] == protocol.best(scores.values())


def _records(text: str, columns: Sequence[Column]) -> list[dict[str, Any]]:
    """The rows of a CSV as JSON has them: empty cells are null, settings an object."""
    endings = ("", "_lo", "_hi", "_paper", "_diff", "_sd")
    numbers = {f"{column.name}{ending}" for column in columns for ending in endings}
    return [
        {key: _value(key, cell, numbers) for key, cell in line.items()} for line in csv.DictReader(io.StringIO(text))
    ]


def _value(key: str, cell: str, numbers: set[str]) -> Any:
    if key == "settings":
        return json.loads(cell)
    if key in numbers:
        return float(cell) if cell else None
    return cell
