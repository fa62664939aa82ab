"""The tables as CSV, Markdown, LaTeX and text for the terminal."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

from tabulate import tabulate

from lpips_repro.evaluation.escape import latex, markdown, markdown_with_code, plain
from lpips_repro.evaluation.tables import Row

KEYS = ("group", "method", "variant", "version", "supervision")
TITLES = {"2afc": "2AFC score (%)", "jnd": "JND mAP (%)"}
FILES = {"2afc": "twoafc", "jnd": "jnd"}
SIMULATED = (
    "Judgments: SIMULATED observers (a model, no people). These figures show that the pipeline runs; they tell nothing"
    " about human vision."
)
HUMAN = "Judgments: human observers."
UNKNOWN = "Judgments: of whom is not stated: data.observers=human or data.observers=simulated says it."
SPREAD = "±: standard deviation over the seeds of training."
WITH_PAPER = (
    "The paper's figures most likely belong to version 0.0; the released v0.1 weights score about one point lower on"
    " 2AFC in third-party runs (experiments/reference/later_2afc.csv)."
)


def write_tables(folder: Path, kind: str, rows: Sequence[Row], columns: Sequence[str], with_paper: bool) -> list[Path]:
    """Write NAME.csv, NAME.md and NAME.tex into a folder.

    Args:
        kind: "2afc" or "jnd"; columns: splits and averages in order.
        with_paper: whether the published figures stand beside.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = _paths(folder, kind)
    _write_csv(paths[0], rows, columns, with_paper)
    caption = caption_of(rows, with_paper)
    cells = _cells(rows, columns, with_paper, markdown, lambda low, high: f" <sub>{low:.1f}–{high:.1f}</sub>")
    table = render(cells, "github")
    intro = f"# {TITLES[kind]}\n\n{caption}\nSmall: 95 % bootstrap intervals."
    paths[1].write_text(f"{intro}\n\n{table}\n{notes_of(rows, markdown_with_code)}")
    cells = _cells(rows, columns, with_paper, latex, lambda low, high: rf" {{\scriptsize {low:.1f}--{high:.1f}}}")
    table = render(cells, "latex_raw")
    notes = notes_of(rows).strip().replace("\n", "\n% ")
    paths[2].write_text(f"% {TITLES[kind]}. {caption}\n{table}\n" + (f"% {notes}\n" if notes else ""))
    return paths


def remove_tables(folder: Path, kind: str) -> None:
    """Have the files removed that `write_tables` writes for a kind; `folder` is one of `written_together`."""
    for path in _paths(folder, kind):
        path.touch()


def terminal_table(kind: str, rows: Sequence[Row], columns: Sequence[str], with_paper: bool) -> str:
    """The table as aligned text: scores, and the interval of "all"."""
    table = _cells(rows, columns, with_paper, plain, None)
    for line, row in zip(table, rows, strict=True):
        line["all 95 % CI"] = "{:.1f}–{:.1f}".format(*row.interval["all"]) if row.scores else ""
    return f"{TITLES[kind]}\n{caption_of(rows, with_paper)}\n\n{render(table, 'simple')}\n{notes_of(rows)}"


def caption_of(rows: Sequence[Row], with_paper: bool) -> str:
    """Who judged, how far the paper's figures compare, and what stands behind a plus-minus sign."""
    judged = judged_by(rows[0].observers)
    return " ".join((judged, *[WITH_PAPER] * with_paper, *[SPREAD] * any(row.spread for row in rows)))


def judged_by(observers: str) -> str:
    """A sentence on who judged: "human", "simulated" or "unknown" observers."""
    return {"human": HUMAN, "simulated": SIMULATED}.get(observers, UNKNOWN)


def _paths(folder: Path, kind: str) -> list[Path]:
    return [folder / f"{FILES[kind]}.{suffix}" for suffix in ("csv", "md", "tex")]


def _write_csv(path: Path, rows: Sequence[Row], columns: Sequence[str], with_paper: bool) -> None:
    with path.open("w", newline="") as file:
        writer = None
        for row in rows:
            line = {key: getattr(row, key) for key in KEYS}
            for column in columns:
                low, high = row.interval.get(column, (None, None))
                line |= {
                    column: _number(row.scores.get(column)),
                    f"{column}_lo": _number(low),
                    f"{column}_hi": _number(high),
                }
            if with_paper:
                for column in columns:
                    paper, score = row.paper.get(column), row.scores.get(column)
                    line[f"{column}_paper"] = "" if paper is None else f"{paper:.1f}"
                    line[f"{column}_diff"] = "" if paper is None or score is None else f"{score - paper:+.2f}"
            if any(other.spread for other in rows):
                line |= {f"{column}_sd": _number(row.spread.get(column)) for column in columns}
            line |= {"observers": row.observers, "settings": row.settings, "note": row.note}
            if writer is None:
                writer = csv.DictWriter(file, line)
                writer.writeheader()
            writer.writerow(line)


def _cells(
    rows: Sequence[Row], columns: Sequence[str], with_paper: bool, escape: Callable[[str], str], interval
) -> list[dict[str, str]]:
    """A dictionary of cells a row, names escaped; `interval(low, high)` is set behind each score where given."""
    table = []
    for row in rows:
        line = {"group": escape(row.group), "method": escape(row.label)}
        for column in columns:
            score = "–" if column not in row.scores else f"{row.scores[column]:.2f}"
            if column in row.spread:
                score += f" ±{row.spread[column]:.2f}"
            if interval and column in row.scores:
                score += interval(*row.interval[column])
            line[escape(column)] = score
        if with_paper:
            paper, score = row.paper.get("all"), row.scores.get("all")
            line["paper, all"] = "" if paper is None else f"{paper:.1f}"
            line["difference"] = "" if paper is None or score is None else f"{score - paper:+.2f}"
        table.append(line)
    return table


def render(table: list[dict[str, str]], style: str) -> str:
    """A table in a style of tabulate, the first two columns to the left."""
    aligned = ("left", "left", *("right",) * (len(table[0]) - 2))
    return tabulate(table, headers="keys", tablefmt=style, colalign=aligned, disable_numparse=True)


def notes_of(rows: Sequence[Row], escape: Callable[[str], str] = plain) -> str:
    """The rows that could not be made, one reason a line, the methods that share it together."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row.note:
            reasons.setdefault(row.note, []).append(row.label)
    return "".join(f"\n- {escape(', '.join(labels))}: {escape(note)}" for note, labels in reasons.items()) + (
        "\n" if reasons else ""
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
