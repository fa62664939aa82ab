"""Text of the tables for the terminal, without rows that have no scores, such as those of networks without weights."""

import dataclasses
from pathlib import Path

from tabulate import tabulate

from lpips_repro.evaluation.protocols import PROTOCOLS, Protocol
from lpips_repro.evaluation.tables.reader import read_rows
from lpips_repro.evaluation.tables.table import Row, Table
from lpips_repro.evaluation.tables.writer import judged_by, terminal_table


def shown_table(table: Table, folder: Path, every_row: bool) -> str:
    """Return a table for the terminal, without the rows that have no scores, unless no row has any.

    Args:
        folder: of the table's files; every_row: whether to show all rows, with the reasons for missing scores.
    """
    made = [row for row in table.rows if row.scores]
    if every_row or not made or len(made) == len(table.rows):
        return terminal_table(table)
    left_out = _left_out(len(table.rows) - len(made), folder, table.protocol)
    return f"{terminal_table(dataclasses.replace(table, rows=made))}\n{left_out}\n"


def overview(folder: Path) -> str:
    """Return one line per row with scores in the CSVs of a folder: its overall score for each kind of judgments.

    The text is empty if the folder has no table.

    Raises:
        UserError: if a file is not a table.
    """
    tables = {protocol: {row.label: row for row in read_rows(folder, protocol)} for protocol in _first_in(folder)}
    if not tables:
        return ""
    by_label: dict[str, list[Row | None]] = {}
    for label in (label for table in tables.values() for label in table):
        by_label[label] = [table.get(label) for table in tables.values()]
    made = [rows for rows in by_label.values() if any(row and row.scores for row in rows)]
    lines, observers = [], {}
    for rows in made:
        row = next(filter(None, rows))
        observers[row.observers] = judged_by(row.observers)
        cells = (cell for pair in zip(tables, rows, strict=True) for cell in _cells(*pair))
        lines.append([row.shown, *cells])
    headers = ["method", *(text for protocol in tables for text in (protocol.title, "95 % CI"))]
    aligned = ("left", *("right",) * (len(headers) - 1))
    text = tabulate(lines, headers, tablefmt="simple", colalign=aligned, disable_numparse=True)
    left_out = len(by_label) - len(made)
    more = f"\n\n{_left_out(left_out, folder, next(iter(tables)))}" if left_out else ""
    return f"{' '.join(observers.values())}\n\n{text}{more}"


def _first_in(folder: Path) -> list[Protocol]:
    """Return, for each kind of judgments, the first protocol that has a table in a folder."""
    first: dict[str, Protocol] = {}
    for protocol in PROTOCOLS.values():
        if (folder / f"{protocol.file}.csv").is_file():
            first.setdefault(protocol.kind, protocol)
    return list(first.values())


def _cells(protocol: Protocol, row: Row | None) -> tuple[str, str]:
    """Return the overall score of a row and its interval."""
    if row is None or "all" not in row.scores:
        return "–", ""
    return f"{row.scores['all']:.{protocol.shown}f}", protocol.interval_text(*row.interval["all"])


def _left_out(count: int, folder: Path, protocol: Protocol) -> str:
    """Return a line about the rows that are not shown."""
    rows = "1 row has" if count == 1 else f"{count} rows have"
    return f'{rows} no scores: see the column note of {folder / protocol.file}.csv, or ARGS="show=all"'
