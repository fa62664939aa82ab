"""The table of whole images with mean opinion scores as CSV, Markdown and text for the terminal."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

from lpips_repro.evaluation.escape import markdown, markdown_with_code, plain
from lpips_repro.evaluation.rank_correlation import MEASURES
from lpips_repro.evaluation.tables import Row
from lpips_repro.evaluation.write import KEYS, SPREAD, notes_of, render


def columns_of(measure: str, sizes: Sequence[int]) -> list[str]:
    """The columns of a correlation: one a size, and their mean."""
    return [*(f"{measure}_{size}" for size in sizes), measure]


def write_table(folder: Path, title: str, rows: Sequence[Row], sizes: Sequence[int], caption: str) -> list[Path]:
    """Write TITLE.csv and TITLE.md, in lower case, into a folder; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    csv_file, md_file = (folder / f"{title.lower()}.{suffix}" for suffix in ("csv", "md"))
    columns = [column for measure in MEASURES for column in columns_of(measure, sizes)]
    lines = [_line(row, columns, any(other.spread for other in rows)) for row in rows]
    with csv_file.open("w", newline="") as file:
        writer = csv.DictWriter(file, lines[0])
        writer.writeheader()
        writer.writerows(lines)
    tables = _tables(rows, sizes, "github", "## {}", markdown, lambda low, high: f" <sub>{low:.3f} to {high:.3f}</sub>")
    md_file.write_text(f"# {title}\n\n{_caption(rows, caption)}\n\n{tables}\n{notes_of(rows, markdown_with_code)}")
    return [csv_file, md_file]


def terminal_table(title: str, rows: Sequence[Row], sizes: Sequence[int], caption: str) -> str:
    """The table as aligned text: correlations, and the interval of their mean."""
    return (
        f"{title}\n{_caption(rows, caption)}\n\n{_tables(rows, sizes, 'simple', '{}', plain, None)}\n{notes_of(rows)}"
    )


def _caption(rows: Sequence[Row], caption: str) -> str:
    return " ".join((caption, *[SPREAD] * any(row.spread for row in rows)))


def _line(row: Row, columns: Sequence[str], with_spread: bool) -> dict[str, str]:
    line = {key: getattr(row, key) for key in KEYS}
    for column in columns:
        low, high = row.interval.get(column, (None, None))
        line |= {column: _number(row.scores.get(column)), f"{column}_lo": _number(low), f"{column}_hi": _number(high)}
    if with_spread:
        line |= {f"{column}_sd": _number(row.spread.get(column)) for column in columns}
    return {**line, "settings": row.settings, "note": row.note}


def _tables(
    rows: Sequence[Row],
    sizes: Sequence[int],
    style: str,
    heading: str,
    escape: Callable[[str], str],
    interval: Callable[[float, float], str] | None,
) -> str:
    """A table a correlation; `interval(low, high)` is set behind each mean, or a column of its own follows it."""
    tables = []
    for measure in MEASURES:
        cells = []
        for row in rows:
            line = {"group": escape(row.group), "method": escape(row.label)}
            for size, column in zip([*sizes, "mean"], columns_of(measure, sizes), strict=True):
                line[str(size)] = "–" if column not in row.scores else f"{row.scores[column]:.3f}"
                if column in row.spread:
                    line[str(size)] += f" ±{row.spread[column]:.3f}"
            low_high = row.interval.get(measure)
            if interval:
                line["mean"] += interval(*low_high) if low_high else ""
            else:
                line["mean 95 % CI"] = "{:.3f} to {:.3f}".format(*low_high) if low_high else ""
            cells.append(line)
        tables.append(f"{heading.format(measure.capitalize())}\n\n{render(cells, style)}")
    return "\n\n".join(tables)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
