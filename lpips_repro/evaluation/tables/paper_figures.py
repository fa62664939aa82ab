"""The paper's own figures, from `experiments/reference/`."""

import csv
from pathlib import Path

from lpips_repro.errors import UserError
from lpips_repro.evaluation.protocols import Protocol

FIGURE5 = "paper_figure5.csv"


def read_paper(folder: Path, protocol: Protocol) -> dict[tuple[str, str], dict[str, float]]:
    """The published scores of a protocol, as its table has them: by (method, variant), then by column."""
    if not protocol.paper:
        return {}
    keys, names = ("group", "method", "variant"), protocol.paper_columns
    return {
        (row["method"], row["variant"]): {names.get(k, k): float(v) for k, v in row.items() if k not in keys and v}
        for row in _read(folder / protocol.paper)
    }


def read_figure5(folder: Path) -> list[dict[str, str]]:
    """The points of Figure 5: method, group, alexnet_like (0 or 1), jnd_map and twoafc_distortions, in percent."""
    return _read(folder / FIGURE5)


def _read(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}: run from the repository's root, or set reference=FOLDER") from error
