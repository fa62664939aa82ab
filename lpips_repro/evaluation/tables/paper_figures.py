"""Read the figures of the paper and of later papers from `experiments/reference/`."""

from pathlib import Path

from lpips_repro.evaluation.protocols import Protocol
from lpips_repro.evaluation.tables.table import Row
from lpips_repro.files import CsvLine, read_csv

FIGURE5 = "paper_figure5.csv"


def read_paper(folder: Path, protocol: Protocol) -> dict[tuple[str, str], dict[str, float]]:
    """Return the paper's scores for a protocol, by (method, variant), then by column of the table."""
    if not protocol.paper:
        return {}
    keys, names = ("group", "method", "variant"), protocol.paper_columns
    return {
        (row["method"], row["variant"]): {names.get(k, k): row.number(k) for k, v in row.items() if k not in keys and v}
        for row in _read(folder / protocol.paper)
    }


def read_later(folder: Path, protocol: Protocol) -> list[Row]:
    """Return rows of scores that others published later, each with its source and with the table's averages."""
    return [_later(line, protocol) for line in _read(folder / protocol.later)] if protocol.later else []


def read_figure5(folder: Path) -> list[CsvLine]:
    """Return the points of Figure 5: method, group, alexnet_like (0 or 1), scores jnd_map and twoafc_distortions."""
    return _read(folder / FIGURE5)


def _later(line: CsvLine, protocol: Protocol) -> Row:
    names = ("method", "source")
    scores = {column: line.number(column) for column, value in line.items() if value and column not in names}
    for column, splits in protocol.averages.items():
        if scores.keys() >= {*splits}:  # a published average has precedence
            scores.setdefault(column, sum(scores[split] for split in splits) / len(splits))
    return Row("later", line["method"], scores=scores, origin=line["source"])


def _read(path: Path) -> list[CsvLine]:
    return read_csv(path, "run from the repository's root, or set reference=FOLDER")
