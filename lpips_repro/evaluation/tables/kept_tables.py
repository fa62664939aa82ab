"""Keep existing tables if tables of other data are written into the same folder."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from lpips_repro.evaluation.protocols import PROTOCOLS
from lpips_repro.files import free_name, read_json, write_whole

log = logging.getLogger(__name__)

FILE = "data.json"  # the data of a folder's tables, and the names of the tables
# Names of the files, besides tables, that are written into a folder of tables. Other files there are not moved.
STEMS = ("scores", "differences", "stats", "examples", "correlation", "config", "run", "data")
# The tables of KADID-10k in folders whose `data.json` names no tables.
EARLIER = "kadid-10k"
SUFFIXES = (".csv", ".md", ".tex", ".png", ".svg", ".pdf", ".yaml", ".json")


def keep_other_tables(folder: Path, data: Mapping[str, str], *names: str) -> set[str]:
    """Prepare a folder for the tables of some data, and return the names of all tables that it may then hold.

    Tables of other data are moved, with a warning, into a folder that has a digest of those data after its name. They
    replace older tables of the same data there.

    Args:
        folder: of the tables; created if it does not exist.
        data: digests of the data of the tables, by name: see `datasets.split.content_of`.
        names: of the tables that will be written, without suffix.
    """
    folder.mkdir(parents=True, exist_ok=True)
    known, written = _read(folder / FILE)
    tables = {*names, *written, EARLIER, *(protocol.file for protocol in PROTOCOLS.values())}
    if known != dict(data):
        stems = {*STEMS, *tables}
        files = [path for path in folder.iterdir() if path.stem in stems and path.suffix in SUFFIXES and path.is_file()]
        if files:
            _move(folder, files, known)
        written = set()
    content = {"data": dict(data), "tables": sorted({*names, *written})}
    write_whole(folder / FILE, json.dumps(content, indent=2) + "\n")
    return tables


def _read(file: Path) -> tuple[dict[str, str] | None, set[str]]:
    """Return the data of a folder's tables, or None if unknown, and the names of the tables."""
    try:
        found = read_json(file)
        if "tables" in found:
            return dict(found["data"]), {*map(str, found["tables"])}
        return dict(found), set()  # the older form, without names
    except (OSError, ValueError, TypeError, KeyError):
        return None, set()


def _move(folder: Path, files: Sequence[Path], known: Mapping[str, str] | None) -> None:
    digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:8]
    kept = folder.with_name(f"{folder.name}-{digest}")
    if known is None:
        kept = free_name(folder.with_name(f"{folder.name}-earlier"))
    kept.mkdir(exist_ok=True)
    for path in files:
        path.replace(kept / path.name)
    what = "the data of its tables are unknown" if known is None else "its tables are of other data"
    log.warning("%s: %s: kept in %s", folder, what, kept)
