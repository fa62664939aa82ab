"""Tables are kept when those of other data take their folder: a name such as folder stands for many data."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from lpips_repro.errors import UserError
from lpips_repro.evaluation.protocols import PROTOCOLS
from lpips_repro.files import free_name

log = logging.getLogger(__name__)

FILE = "data.json"  # what the tables of a folder are of
# With the tables, all that is written about some data into a folder of tables. Anything else there stays where it is.
STEMS = ("scores", "stats", "examples", "correlation", "config", "run", "data")
OF_A_RUN = ("last.pt", "best.pt", "summary.json", "weights.pth")
SUFFIXES = (".csv", ".md", ".tex", ".png", ".yaml", ".json")


def keep_other_tables(folder: Path, data: Mapping[str, str], *names: str) -> None:
    """Make a folder ready for the tables of some data.

    If it holds tables of other data, these go into a folder with a digest of those data behind the name, with a
    warning; they replace older tables of the same data there.

    Args:
        folder: of the tables; made if it does not exist.
        data: all that the tables are of, by name: see `datasets.split.content_of`.
        names: of tables, without suffix, in addition to those of the protocols.

    Raises:
        UserError: if it is the folder of a training run.
    """
    if any((folder / name).exists() for name in OF_A_RUN):
        raise UserError(f"{folder}: the folder of a training run: choose another one for tables: name=NAME")
    folder.mkdir(parents=True, exist_ok=True)
    known = _read(folder / FILE)
    if known == dict(data):
        return
    stems = {*STEMS, *names, *(protocol.file for protocol in PROTOCOLS.values())}
    files = [path for path in folder.iterdir() if path.stem in stems and path.suffix in SUFFIXES and path.is_file()]
    if files:
        _move(folder, files, known)
    (folder / FILE).write_text(json.dumps(dict(data), indent=2) + "\n")


def _read(file: Path) -> dict[str, str] | None:
    try:
        return cast(dict[str, str], json.loads(file.read_text()))
    except (OSError, ValueError):
        return None


def _move(folder: Path, files: Sequence[Path], known: Mapping[str, str] | None) -> None:
    digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:8]
    kept = folder.with_name(f"{folder.name}-{digest}")
    if known is None:
        kept = free_name(folder.with_name(f"{folder.name}-earlier"))
    kept.mkdir(exist_ok=True)
    for path in files:
        path.replace(kept / path.name)
    what = "of which data its tables are is not known: they are" if known is None else "its tables are of other data:"
    log.warning("%s: %s kept in %s", folder, what, kept)
