"""The table of NIGHTS: the images and their judgments."""

import csv
import logging
import math
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lpips_repro.errors import UserError
from lpips_repro.files import finite_number

log = logging.getLogger(__name__)

PAGE = "https://github.com/ssundaram21/dreamsim/tree/main/dataset"
REMEDY = f"restore the file from {PAGE}"
PATHS = {"ref": "ref_path", "p0": "left_path", "p1": "right_path"}
COLUMNS = ("id", "left_vote", "right_vote", "votes", *PATHS.values(), "split")
SPLITS = ("train", "val", "test")
LEAST_VOTES = 6


@dataclass(frozen=True)
class Triplet:
    """A line of the table.

    Attributes:
        name: its `id`.
        files: the images by field: ref, p0 (left), p1 (right).
        judge: share of judges who chose the right image.
        split: "train", "val" or "test".
    """

    name: str
    files: dict[str, Path]
    judge: float
    split: str


def read_triplets(table: Path) -> list[Triplet]:
    """The triplets of `data.csv` with enough votes, and the paths of their images.

    Raises:
        UserError: if the file is missing or a line is malformed. The message names the file and the line.
    """
    if not table.is_file():
        raise UserError(
            f"{table}: missing: NIGHTS is downloaded by hand: unpack the archive of {PAGE} to this place, or set"
            " DATA_ROOT=FOLDER to the folder that has it"
        )
    triplets, few = {}, 0
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if missing := [column for column in COLUMNS if column not in (rows.fieldnames or ())]:
                raise UserError(f"{table}: no column {', '.join(missing)}: {REMEDY}")
            for row in rows:
                where = f"{table}, line {rows.line_num}"
                if _votes(row, "votes", where) < LEAST_VOTES:
                    few += 1
                    continue
                triplet = _triplet(row, table.parent, where)
                if triplet.name in triplets:
                    raise UserError(f"{where}: id {triplet.name} comes twice: {REMEDY}")
                triplets[triplet.name] = triplet
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{table}: not a readable table ({error}): {REMEDY}") from error
    if few:
        log.info("%s: %d triplets have fewer than %d votes and are left out", table, few, LEAST_VOTES)
    return [*triplets.values()]


def _triplet(row: dict[str, str | None], root: Path, where: str) -> Triplet:
    """The triplet of a line. Its images are not checked."""
    left, right = (_votes(row, column, where) for column in ("left_vote", "right_vote"))
    if not left + right:
        raise UserError(f"{where}: left_vote and right_vote are 0: {REMEDY}")
    split = row["split"] or ""
    if split not in SPLITS:
        raise UserError(f"{where}: split {split!r}: expected one of {', '.join(SPLITS)}: {REMEDY}")
    files = {field: root / _inside(row[column] or "", f"{where}: {column}") for field, column in PATHS.items()}
    return Triplet(row["id"] or "", files, right / (left + right), split)


def _votes(row: dict[str, str | None], column: str, where: str) -> float:
    try:
        votes = finite_number(row[column] or "")
    except ValueError:
        votes = math.nan
    if not votes >= 0:
        raise UserError(f"{where}: {column} {row[column]!r}: expected a number of votes: {REMEDY}")
    return votes


def _inside(cell: str, where: str) -> PurePosixPath:
    """A relative path that stays inside its folder; UserError for others."""
    path = PurePosixPath(cell)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in cell or "\0" in cell:
        raise UserError(f"{where} {cell!r}: expected a path in the folder of the table: {REMEDY}")
    return path
