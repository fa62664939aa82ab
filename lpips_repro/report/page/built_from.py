"""The sources of a page: data, tables, runs, versions and commands."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lpips_repro.evaluation.tables.kept_tables import FILE as DATA_FILE
from lpips_repro.files import read_json
from lpips_repro.report.page.summary import Summary


@dataclass(frozen=True)
class Record:
    """The origin of some files.

    Attributes:
        what: the files, such as "tables"; folder: their folder.
        command: command line that wrote them; seed: its seed, or "".
        commit: commit of this program; versions: versions of packages by name.
    """

    what: str
    folder: str
    command: str
    commit: str
    seed: str
    versions: Mapping[str, str]


@dataclass(frozen=True)
class BuiltFrom:
    """The sources of a page.

    Attributes:
        data: number of examples and beginning of their digest, by split.
        runs: folders of training runs.
        records: origins of the tables and of the report.
    """

    data: Mapping[str, str]
    runs: Sequence[str]
    records: Sequence[Record]


def built_from(tables: Path, report: Path, summaries: Sequence[Summary], runs: Sequence[Path]) -> BuiltFrom:
    """Return the sources of tables and of a report.

    Args:
        tables: folder of the tables; report: folder of the report.
        summaries: the tables, whose runs are included.
        runs: folders of the runs in figures.
    """
    of_rows = [name for summary in summaries for line in summary.lines for name in line.row.run.split()]
    names = sorted({*of_rows, *(run.name for run in runs)})
    data = _dict(_read(tables / DATA_FILE).get("data"))
    records = [_record("tables", tables), _record("this report", report)]
    return BuiltFrom(data, names, [record for record in records if record])


def _record(what: str, folder: Path) -> Record | None:
    found = _read(folder / "run.json")
    if not found:
        return None
    packages = {name: version for name, version in _dict(found.get("packages")).items() if version}
    changed = ", with changes" * bool(found.get("git_changes"))
    commit = f"{found.get('git_commit') or 'not in a git repository'}{changed}"
    versions = {"Python": str(found.get("python", "")), **packages, "platform": str(found.get("platform", ""))}
    words = found.get("command")
    command = shlex.join(map(str, words if isinstance(words, list) else ()))
    return Record(what, str(folder), command, commit, "" if found.get("seed") is None else str(found["seed"]), versions)


def _read(path: Path) -> dict[str, Any]:
    try:
        return _dict(read_json(path))
    except (OSError, ValueError):
        return {}


def _dict(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}
