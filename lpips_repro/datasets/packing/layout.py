"""The BAPPS folder layout, read strictly.

ROOT/2afc/{train,val}/SPLIT/{ref,p0,p1}/NAME.png   judge/NAME.npy   share of judges choosing p1
ROOT/jnd/val/SPLIT/{p0,p1}/NAME.png                same/NAME.npy    share of judges answering "same"
"""

import glob
import hashlib
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from lpips_repro.config.outputs import check_names
from lpips_repro.datasets.packed import IMAGE_FIELDS, VOTE_FIELD
from lpips_repro.datasets.packing.misplaced import explain_missing
from lpips_repro.errors import UserError, check_utf8

# The paper's order of columns. Other splits follow in alphabetical order.
PAPER_SPLITS = ("traditional", "cnn", "mix", "superres", "deblur", "color", "frameinterp")

# Names that splits must not have: see `lpips_repro.evaluation.tables.writer`.
MEANS = ("all", "distortions", "real")
COLUMNS = {
    *("label", "group", "method", "variant", "version", "supervision", "origin", "seed", "run"),
    *("observers", "settings", "note"),
}
RECIPES = "recipes.parquet"  # the recipes of a split that this program has built
SUFFIXES = ("_lo", "_hi", "_paper", "_diff", "_sd")


@dataclass(frozen=True)
class SplitFolder:
    """A split as files.

    Attributes:
        path: its folder.
        kind: "2afc" or "jnd"; phase: "train" or "val"; split: its name.
        names: sorted file names without suffix; each has one file in every field.
    """

    path: Path
    kind: str
    phase: str
    split: str
    names: tuple[str, ...]

    def image(self, field: str, name: str) -> Path:
        """The file of an image field."""
        return self.path / field / f"{name}.png"

    def name_of_image(self, field: str, name: str) -> str:
        """The file of an image field, relative to the dataset's folder."""
        return file_name(self.kind, self.phase, self.split, field, name)

    def vote(self, name: str) -> float:
        """The share in a vote file; UserError, with the file, if it is not a share in [0, 1]."""
        field = VOTE_FIELD[self.kind]
        path = self.path / field / f"{name}.npy"
        return read_vote(path, field)

    def fingerprint(self) -> str:
        """SHA-256 of all names, the bytes of votes, and the size, times and inode of images: it changes with any file.

        Programs such as `rsync --times` set the modification time (mtime), but cannot set the change time (ctime).
        """
        sha = hashlib.sha256()
        for field in _fields(self.kind):
            for name in self.names:
                if field == VOTE_FIELD[self.kind]:
                    what = self.vote_digest(name)
                else:
                    stat = self.image(field, name).stat()
                    what = f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"
                sha.update(f"{field}/{name} {what}\n".encode())
        return sha.hexdigest()

    def vote_digest(self, name: str) -> str:
        """The digest of a vote."""
        path = self.path / VOTE_FIELD[self.kind] / f"{name}.npy"
        return hashlib.sha256(path.read_bytes()).hexdigest()


def file_name(kind: str, phase: str, split: str, field: str, name: str) -> str:
    """The file of an image relative to the dataset's folder, such as `2afc/val/cnn/ref/000123.png`."""
    return f"{kind}/{phase}/{split}/{field}/{name}.png"


def read_vote(path: Path, field: str, content: BinaryIO | None = None) -> float:
    """The share in a vote file; UserError, with the file, if it is not a share in [0, 1].

    Args:
        path: the file; field: "judge" or "same", for the message.
        content: content of a file in an archive; `path` is then only a name, and the caller adds the remedy of errors.
    """
    try:
        value = np.load(content or path, allow_pickle=False)
    except Exception as error:  # NumPy's parser of the header can raise any exception
        advice = "" if content else ": restore the file"
        raise UserError(f"{path}: not a readable .npy file ({error}){advice}") from error
    if not isinstance(value, np.ndarray) or value.shape not in ((), (1,)) or value.dtype.kind not in "fiu":
        shape = getattr(value, "shape", None)
        raise UserError(f"{path}: holds {getattr(value, 'dtype', '?')} of shape {shape}: expected one number")
    share = float(value.reshape(()))
    if not 0 <= share <= 1:
        raise UserError(f"{field} {share:g} in {path}: expected a share in [0, 1]")
    return share


def find_splits(root: Path, phase: str, judged: bool = True) -> list[SplitFolder]:
    """The splits of a phase under `root`, 2AFC first, in the paper's order.

    Args:
        root: the dataset's folder; phase: "train" or "val".
        judged: whether they must have judgments; if not, judgments are ignored.

    Raises:
        UserError: if there is no split, an empty split, or a file without counterpart. The message names it.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder: expected a dataset in the layout {root}/2afc/val/SPLIT/ref/NAME.png")
    splits = []
    for kind in IMAGE_FIELDS:
        folder = root / kind / phase
        found = folder.iterdir() if folder.is_dir() else ()
        names = [path.name for path in found if path.is_dir() and path.name[0] != "."]
        if {"p0", "p1"} <= {*names}:
            raise UserError(
                f"{folder}: holds fields instead of splits: move {', '.join(sorted(names))} into {folder}/SPLIT"
            )
        for name in names:
            _check_name(folder / name)
        check_names(f"{folder}: splits", sorted(names))
        splits += [read_split(folder / name, kind, phase, judged) for name in sorted(names, key=split_order)]
    if not splits:
        raise UserError(explain_missing(root, phase))
    return splits


def _check_name(split: Path) -> None:
    """Raise UserError if a split's column in a table could be mistaken for another one."""
    if not split.name.isprintable():
        raise UserError(f"{str(split)!r}: a name with unprintable characters: rename the split")
    name = split.name.lower()  # Excel and databases ignore the case of columns
    if name in MEANS:
        raise UserError(f"{split}: {name!r} is the name of a mean in tables: rename the split")
    if name in COLUMNS:
        raise UserError(f"{split}: {name!r} is the name of a column in tables: rename the split")
    if suffix := next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None):
        raise UserError(f"{split}: names of columns in tables end with {suffix!r}: rename the split")


def split_order(split: str) -> tuple[int, str]:
    """A sorting key: the paper's splits in the paper's order, then others."""
    return (PAPER_SPLITS.index(split) if split in PAPER_SPLITS else len(PAPER_SPLITS), split)


def _fields(kind: str) -> dict[str, str]:
    return {**dict.fromkeys(IMAGE_FIELDS[kind], ".png"), VOTE_FIELD[kind]: ".npy"}


def read_split(path: Path, kind: str, phase: str, judged: bool = True) -> SplitFolder:
    """The split in a folder; arguments and UserError as for `find_splits`."""
    fields = _fields(kind)
    if not judged:
        del fields[VOTE_FIELD[kind]]
    names = {}
    for field, suffix in fields.items():
        folder = path / field
        if not folder.is_dir():
            if field == VOTE_FIELD[kind] and (path / RECIPES).is_file():
                raise UserError(
                    f"{path}: built without judgments: collect them into {folder}, or add simulated ones with"
                    f" `make simulate OUT={shlex.quote(str(path.parents[2]))}`"
                )
            raise UserError(f"{folder}: no such folder: a {kind} split has {', '.join(fields)}")
        names[field] = _regular_files(folder, suffix)
    every = set().union(*names.values())
    if not every:
        raise UserError(f"{path}: empty split: expected files such as {path}/{next(iter(fields))}/000000.png")
    for field, suffix in fields.items():
        missing = sorted(every - names[field])
        if missing:
            count = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            if others := sorted((path / field).glob(f"{glob.escape(missing[0])}.*")):
                wanted = f"a regular file {missing[0]}{suffix}{count}"
                raise UserError(f"{others[0]}: expected {wanted}: convert or rename it")
            raise UserError(f"{path / field / missing[0]}{suffix}: missing{count}, though its counterparts are there")
    return SplitFolder(path, kind, phase, path.name, tuple(sorted(every)))


def _regular_files(folder: Path, suffix: str) -> set[str]:
    """Names of the files with a suffix, without the suffix and without hidden files."""
    with os.scandir(folder) as entries:
        files = {entry.name for entry in entries if entry.name.endswith(suffix) and entry.is_file()}
    for name in files:
        check_utf8(str(folder / name))
    return {name.removesuffix(suffix) for name in files if name[0] != "."}
