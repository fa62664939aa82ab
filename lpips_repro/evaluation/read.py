"""The rows of tables that were written."""

import csv
import re
from pathlib import Path

from lpips_repro.errors import UserError
from lpips_repro.evaluation.tables import Row
from lpips_repro.evaluation.trained import origin_of_seeds
from lpips_repro.evaluation.write import FILES, KEYS
from lpips_repro.files import finish_writing


def read_rows(folder: Path, kind: str) -> list[Row]:
    """The rows of `twoafc.csv` or `jnd.csv`, with their scores; intervals and the paper's figures are left there.

    Args:
        folder: of the tables; kind: "2afc" or "jnd".

    Raises:
        UserError: where there is no such table, or it is none.
    """
    finish_writing(folder)
    path = folder / f"{FILES[kind]}.csv"
    if not path.is_file():
        raise UserError(f"{path}: no such table: run `make eval-tables` first, on data with 2AFC and JND judgments")
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    try:
        return [_row(line) for line in lines]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: not a table of `make eval-tables` ({error!r}): run that again") from error


def _row(line: dict[str, str]) -> Row:
    scores = {column: float(line[column]) for column in line if f"{column}_lo" in line and line[column]}
    found = {key: line[key] for key in (*KEYS, "observers", "settings", "note")}
    return Row(**found, scores=scores, origin=_origin(line["settings"]))


def _origin(settings: str) -> str:
    """What stands before the key=value words of each training run that a row is made of (see `Results.words`)."""
    origins = re.findall(r"(?:^|; )([^=;]+): ", settings)
    return origin_of_seeds(origins) if origins else ""
