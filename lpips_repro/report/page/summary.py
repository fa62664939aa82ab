"""The tables of the page: scores with intervals, published figures, and marks of differences within chance."""

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
from lpips_repro.evaluation.tables.writer import difference_from_paper, paper_figure
from lpips_repro.files import CsvLine, finish_writing, number_or_none, parse_json, read_csv, read_json
from lpips_repro.report.all_pairs import is_decided
from lpips_repro.report.figures.scores import OBSERVERS

# Lines of differences.csv by label and column.
Differences = Mapping[tuple[str, str], CsvLine]


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: name in the CSV; shown: heading.
        count: number of examples, if known.
        members: columns that it is the mean of; empty if it is not a mean.
    """

    name: str
    shown: str
    count: int | None
    members: Sequence[str]


@dataclass(frozen=True)
class Cell:
    """A score in the table.

    Attributes:
        text: the score; value: the score with the digits of the CSV, for sorting; "" if there is none.
        below: texts below the score: interval, spread over seeds, published figure, difference from it.
        is_tie: whether its difference from the baseline is within chance; why: the difference with interval and p.
    """

    text: str = "–"
    value: str = ""
    below: Mapping[str, str] = field(default_factory=dict)
    is_tie: bool = False
    why: str = ""


@dataclass(frozen=True)
class Line:
    """A row with a cell per column. `paper` and `difference` are of the first column; `settings` is JSON."""

    row: Row
    cells: Sequence[Cell]
    paper: str
    difference: str
    settings: str


@dataclass(frozen=True)
class Summary:
    """A table of the page.

    Attributes:
        name: name of its files; kind: name of its protocol; title: its title.
        columns: columns; the one that summarizes a row is first, next to the method.
        lines: rows with scores; without: rows without scores.
        best_first: "asc" if lower scores are better, "desc" otherwise.
        baseline: label of the row that others are compared with, "" if there is none.
        is_best: whether the baseline has the best score.
        csv: text of the CSV; records: its rows, with numbers and settings parsed.
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
        """Whether any cell is marked as a tie."""
        return any(cell.is_tie for line in self.lines for cell in line.cells)


def read_summaries(folder: Path, counts: Mapping[str, Mapping[str, int]]) -> list[Summary]:
    """Return the tables in a folder, in the order of the protocols; empty if there are none.

    Args:
        folder: folder of the tables.
        counts: number of examples by name of the protocol, then by column.

    Raises:
        UserError: if a file is not a table of `make eval-tables`.
    """
    finish_writing(folder)
    return [_summary(folder, protocol, counts.get(protocol.name, {})) for protocol in _protocols(folder)]


def _protocols(folder: Path) -> Iterator[Protocol]:
    """The protocols of the tables in a folder; files of mean opinion scores are named after their dataset."""
    try:
        written = [*map(str, read_json(folder / DATA_FILE)["tables"])]
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
    """The columns with scores. The last one of the file, which summarizes a row, is the first here."""
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
    lines = read_csv(path, "run `make eval-tables` again")
    return {(line["label"], line["split"]): line for line in lines if line["kind"] == protocol.name}


def _line(row: Row, columns: Sequence[Column], protocol: Protocol, differences: Differences) -> Line:
    first = columns[0].name
    settings = json.dumps(row.settings, indent=2, ensure_ascii=False, default=str)
    cells = [_cell(row, column.name, protocol, differences.get((row.label, column.name))) for column in columns]
    return Line(row, cells, paper_figure(row, first), difference_from_paper(row, first, protocol.shown), settings)


def _cell(row: Row, column: str, protocol: Protocol, difference: CsvLine | None) -> Cell:
    if column not in row.scores:
        return Cell()
    below = {}
    if column in row.interval:
        below["interval"] = protocol.interval_text(*row.interval[column])
    if column in row.spread:
        below["seeds"] = f"±{row.spread[column]:.{protocol.shown}f}"
    if column in row.paper:
        below["paper"] = f"paper {paper_figure(row, column)}"
        below["difference"] = difference_from_paper(row, column, protocol.shown)
    score = row.scores[column]
    is_tie, why = _chance(difference)
    return Cell(f"{score:.{protocol.shown}f}", f"{score:.{protocol.decimals}f}", below, is_tie, why)


def _chance(line: CsvLine | None) -> tuple[bool, str]:
    """Whether a difference is within chance, and a text with its interval and p."""
    if not line or not line["p_holm"]:
        return False, ""
    why = "{difference} from {baseline}, 95 % interval {low} to {high}, p = {p_holm} (Holm)".format(**line)
    return not is_decided(line.number("p_holm")), why


def _is_best(rows: Sequence[Row], baseline: str, columns: Sequence[Column], protocol: Protocol) -> bool:
    if not columns:
        return False
    first = columns[0].name
    scores = {row.label: row.scores[first] for row in rows if row.group != OBSERVERS and first in row.scores}
    return baseline in scores and scores[baseline] == protocol.best(scores.values())


def _records(text: str, columns: Sequence[Column]) -> list[dict[str, Any]]:
    """The rows of a CSV for JSON: empty cells of numbers are null, and settings are an object."""
    endings = ("", "_lo", "_hi", "_paper", "_diff", "_sd")
    numbers = {f"{column.name}{ending}" for column in columns for ending in endings}
    return [
        {key: _value(key, cell, numbers) for key, cell in line.items()} for line in csv.DictReader(io.StringIO(text))
    ]


def _value(key: str, cell: str, numbers: set[str]) -> Any:
    if key == "settings":
        return parse_json(cell, finite=False)
    if key in numbers:
        return number_or_none(cell)
    return cell
