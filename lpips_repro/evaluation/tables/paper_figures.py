"""Read the figures of the paper and of later papers from `experiments/reference/`."""

import csv
from pathlib import Path

from lpips_repro.errors import UserError
from lpips_repro.evaluation.protocols import Protocol
from lpips_repro.evaluation.tables.table import Row

FIGURE5 = "paper_figure5.csv"


def read_paper(folder: Path, protocol: Protocol) -> dict[tuple[str, str], dict[str, float]]:
    """Return the paper's scores for a protocol, by (method, variant), then by column of the table."""
    if not protocol.paper:
        return {}
    keys, names = ("group", "method", "variant"), protocol.paper_columns
    return {
        (row["method"], row["variant"]): {names.get(k, k): float(v) for k, v in row.items() if k not in keys and v}
        for row in _read(folder / protocol.paper)
    }


def read_later(folder: Path, protocol: Protocol) -> list[Row]:
    """Return rows of scores that others published later, each with its source and with the table's averages."""
    return [_later(line, protocol) for line in _read(folder / protocol.later)] if protocol.later else []


def read_figure5(folder: Path) -> list[dict[str, str]]:
    """Return the points of Figure 5: method, group, alexnet_like (0 or 1), scores jnd_map and twoafc_distortions."""
    return _read(folder / FIGURE5)


def _later(line: dict[str, str], protocol: Protocol) -> Row:
    method, source = line.pop("method"), line.pop("source")
    scores = {column: float(value) for column, value in line.items() if value}
    for column, splits in protocol.averages.items():
        if scores.keys() >= {*splits}:  # a published average has precedence
            scores.setdefault(column, sum(scores[split] for split in splits) / len(splits))
    return Row("later", method, scores=scores, origin=source)


def _read(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}: run from the repository's root, or set reference=FOLDER") from error
