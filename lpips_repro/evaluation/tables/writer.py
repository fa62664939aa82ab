"""Write tables as CSV, Markdown, LaTeX and text for the terminal, and their scores in long form."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tabulate import tabulate

from lpips_repro.evaluation.protocols import Protocol
from lpips_repro.evaluation.tables.escape import latex, markdown, markdown_with_code, plain
from lpips_repro.evaluation.tables.table import Row, Table
from lpips_repro.files import write_csv, write_whole

KEYS = ("label", "group", "method", "variant", "version", "supervision", "origin", "seed", "run")
SCORES = "scores.csv"
SIMULATED = (
    "Judgments: SIMULATED observers (a model, no people). These figures show that the pipeline runs; they tell nothing"
    " about human vision."
)
HUMAN = "Judgments: human observers."
UNKNOWN = "Judgments: observers not stated: set data.observers=human or data.observers=simulated."
SPREAD = "±: standard deviation over the seeds of training."
WITH_PAPER = (
    "The paper's figures most likely belong to version 0.0; the released v0.1 weights score about one point lower on"
    " 2AFC in third-party runs (experiments/reference/later_2afc.csv)."
)
LATER = "Group later: published after the paper, by others (experiments/reference/later_2afc.csv)."

Cells = list[dict[str, str]]


def write_tables(folder: Path, tables: Sequence[Table]) -> list[Path]:
    """Write NAME.csv, NAME.md and NAME.tex of each table and scores.csv of all into a folder; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for table in tables:
        csv_file, md_file, tex_file = files = _paths(folder, table.protocol.file)
        write_csv(csv_file, _lines(table))
        write_whole(md_file, _markdown(table))
        write_whole(tex_file, _latex(table))
        paths += files
    write_csv(folder / SCORES, (line for table in tables for line in _scores(table)))
    return [*paths, folder / SCORES]


def remove_tables(folder: Path, names: Iterable[str]) -> None:
    """Mark tables, named without suffix, for removal; `folder` is one of `written_together`."""
    for name in names:
        for path in _paths(folder, name):
            path.touch()


def terminal_table(table: Table) -> str:
    """Return a table as aligned text: scores, and the interval of the last column."""
    texts = []
    for heading, columns in table.protocol.blocks(table.columns).items():
        cells = _cells(table, columns, plain)
        *_, (shown, last) = columns.items()
        for line, row in zip(cells, [*table.rows, *table.later], strict=True):
            line[f"{shown} 95 % CI"] = table.protocol.interval_text(*row.interval[last]) if last in row.interval else ""
        texts.append(f"{heading}\n\n" * bool(heading) + _render(cells, "simple"))
    return f"{table.protocol.title}\n{_caption(table)}\n\n" + "\n\n".join(texts) + f"\n{notes_of(table.rows)}"


def caption_of(observers: str, with_paper: bool) -> str:
    """Return a caption: the kind of observers, and a note on the paper's figures if they are shown."""
    return " ".join((judged_by(observers), *[WITH_PAPER] * with_paper))


def judged_by(observers: str) -> str:
    """Return a sentence about "human", "simulated" or "unknown" observers."""
    return {"human": HUMAN, "simulated": SIMULATED}.get(observers, UNKNOWN)


def notes_of(rows: Sequence[Row], escape: Callable[[str], str] = plain) -> str:
    """Return one line per reason for missing scores, with the rows that it applies to."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row.note:
            reasons.setdefault(row.note, []).append(row.shown)
    return "".join(f"\n- {escape(', '.join(shown))}: {escape(note)}" for note, shown in reasons.items()) + (
        "\n" if reasons else ""
    )


def _paths(folder: Path, name: str) -> list[Path]:
    return [folder / f"{name}.{suffix}" for suffix in ("csv", "md", "tex")]


def _caption(table: Table) -> str:
    return " ".join((table.caption, *[SPREAD] * any(row.spread for row in table.rows), *[LATER] * bool(table.later)))


def _lines(table: Table) -> Iterator[dict[str, str]]:
    """Yield the rows of the CSV."""
    number = _number_format(table.protocol)
    with_spread = any(row.spread for row in table.rows)
    for row in table.rows:
        line = {key: getattr(row, key) for key in KEYS}
        for column in table.columns:
            low, high = row.interval.get(column, (None, None))
            line |= {column: number(row.scores.get(column)), f"{column}_lo": number(low), f"{column}_hi": number(high)}
        for column in table.columns if table.with_paper else ():
            difference = difference_from_paper(row, column, table.protocol.decimals)
            line |= {f"{column}_paper": paper_figure(row, column), f"{column}_diff": difference}
        if with_spread:
            line |= {f"{column}_sd": number(row.spread.get(column)) for column in table.columns}
        settings = json.dumps(row.settings, default=str)
        yield {**line, "observers": row.observers, "settings": settings, "note": row.note}


def _scores(table: Table) -> Iterator[dict[str, str]]:
    """Yield the rows of scores.csv, one per number."""
    number = _number_format(table.protocol)
    for row in table.rows:
        for column in table.columns:
            low, high = row.interval.get(column, (None, None))
            found = {
                "score": number(row.scores.get(column)),
                "low": number(low),
                "high": number(high),
                "sd": number(row.spread.get(column)),
                "paper": paper_figure(row, column),
                "difference": difference_from_paper(row, column, table.protocol.decimals),
                "n": str(table.counts[column]) if column in row.scores else "",
            }
            about = {"kind": table.protocol.name, "label": row.label, "split": column}
            yield from (about | {"statistic": key, "value": value} for key, value in found.items() if value)


def _markdown(table: Table) -> str:
    intro = f"# {table.protocol.title}\n\n{_caption(table)}\nSmall: 95 % bootstrap intervals."
    texts = []
    for heading, columns in table.protocol.blocks(table.columns).items():
        cells = _cells(table, columns, markdown, " <sub>{}</sub>")
        texts.append(f"## {heading}\n\n" * bool(heading) + _render(cells, "github"))
    return f"{intro}\n\n" + "\n\n".join(texts) + f"\n{notes_of(table.rows, markdown_with_code)}"


def _latex(table: Table) -> str:
    """Return a table for LaTeX with the package booktabs; the best method of each column is bold."""
    lines = [f"% {table.protocol.title}. {_caption(table)}", r"% Needs \usepackage{booktabs}. Bold: the best method."]
    for heading, columns in table.protocol.blocks(table.columns).items():
        cells = _cells(table, columns, latex, r" {{\scriptsize {}}}", _best(table))
        names = list(cells[0])
        lines += [f"% {heading}"] * bool(heading)
        lines += [
            rf"\begin{{tabular}}{{ll{'r' * (len(names) - 2)}}}",
            r"\toprule",
            rf"{' & '.join(names)} \\",
            r"\midrule",
        ]
        lines += [rf"{' & '.join(line.values())} \\" for line in cells]
        lines += [r"\bottomrule", r"\end{tabular}"]
    notes = notes_of(table.rows).strip()
    return "\n".join([*lines, *(f"% {note}" for note in notes.splitlines())]) + "\n"


def _best(table: Table) -> dict[str, str]:
    """Return the best score of each column, formatted as shown; rows of observers do not count."""
    scores = [row.scores for row in table.rows if row.group != "observers"]
    found = {column: [one[column] for one in scores if column in one] for column in table.columns}
    best = table.protocol.best
    return {column: f"{best(values):.{table.protocol.shown}f}" for column, values in found.items() if values}


def _cells(
    table: Table,
    columns: Mapping[str, str],
    escape: Callable[[str], str],
    interval: str = "",
    bold: Mapping[str, str] | None = None,
) -> Cells:
    """Return a dictionary of cells per row, with escaped names.

    Args:
        columns: by shown name; interval: format of the interval after a score, or "" for none.
        bold: the scores to set in bold in LaTeX, by column.
    """
    protocol, last = table.protocol, [*columns.values()][-1]
    cells = []
    for row in (*table.rows, *table.later):
        line = {"group": escape(row.group), "method": escape(row.shown)}
        for shown, column in columns.items():
            score = "–" if column not in row.scores else f"{row.scores[column]:.{protocol.shown}f}"
            if bold and row.group not in ("observers", "later") and bold.get(column) == score:
                score = rf"\textbf{{{score}}}"
            if column in row.spread:
                score += f" ±{row.spread[column]:.{protocol.shown}f}"
            if interval and column in row.interval and (protocol.interval_in_each or column == last):
                ends = protocol.interval_text(*row.interval[column])
                score += interval.format(ends.replace("–", "--") if bold is not None else ends)
            line[escape(shown)] = score
        if table.with_paper:
            difference = difference_from_paper(row, last, protocol.decimals)
            line |= {"paper, all": paper_figure(row, last), "difference": difference}
        cells.append(line)
    return cells


def _render(cells: Cells, style: str) -> str:
    """Return a table in a style of tabulate, with the first two columns aligned left."""
    aligned = ("left", "left", *("right",) * (len(cells[0]) - 2))
    return str(tabulate(cells, headers="keys", tablefmt=style, colalign=aligned, disable_numparse=True))


def _number_format(protocol: Protocol) -> Callable[[float | None], str]:
    return lambda value: "" if value is None else f"{value:.{protocol.decimals}f}"


def paper_figure(row: Row, column: str) -> str:
    """The paper's figure of a column with one decimal, or "" if there is none."""
    return f"{row.paper[column]:.1f}" if column in row.paper else ""


def difference_from_paper(row: Row, column: str, decimals: int) -> str:
    """The score of a column minus the paper's figure, with its sign, or "" if one of them is absent."""
    both = column in row.paper and column in row.scores
    return f"{row.scores[column] - row.paper[column]:+.{decimals}f}" if both else ""
