"""The archives on this computer: which there are, their SHA-256 at first use, and whether there is room for more."""

import json
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from lpips_repro.datasets.bapps.published import gigabytes, read_json
from lpips_repro.datasets.bapps.settings import BappsConfig
from lpips_repro.download.mirrors import local_folder
from lpips_repro.errors import UserError
from lpips_repro.files import write_whole


def local_archives(cfg: BappsConfig, name: str) -> list[Path]:
    """The files of an archive on this computer: the download, then those of local mirrors, as `fetch_archive` finds."""
    folders = [Path(cfg.archives), *filter(None, map(local_folder, cfg.mirrors))]
    files: dict[Path, Path] = {}  # by what they are: a local mirror may well be the folder of downloads
    for file in (folder / name for folder in folders):
        if file.is_file():
            files.setdefault(file.resolve(), file)
    return list(files.values())


def remedy(cfg: BappsConfig, file: Path, command: str = "the command again") -> str:
    """What to do about an archive that is at fault; `command` fetches what is missing."""
    if file.parent.resolve() == Path(cfg.archives).resolve():
        return (
            f"move {file} elsewhere and run {command} to fetch it again (the mirror that gave it comes first again: if"
            " its file is damaged again, remove it from data.mirrors or move it to the end)"
        )
    return f"replace {file}, which is used in place, or remove its folder from data.mirrors"


def remedy_for_a_change(cfg: BappsConfig, file: Path, remedy: str) -> str:
    """What to do about an archive that is another one than at its first use: the remedy, or to take the new one."""
    return f"{remedy}; if the new one is meant, take its line out of {cfg.archives}/sha256.json"


def recorded_sha256(archives: Path) -> dict[str, str]:
    """The SHA-256 that each archive had at its first use."""
    file, advice = archives / "sha256.json", "move it elsewhere: a new one is written at the next use"
    recorded = read_json(file, advice) if file.is_file() else {}
    for name, sha256 in recorded.items():
        if not isinstance(sha256, str):
            raise UserError(f"{file}: {name!r} has {sha256!r}: expected a SHA-256: {advice}")
    return recorded


def record_sha256(cfg: BappsConfig, file: Path, sha256: str) -> None:
    """Write the SHA-256 of an archive down at its first use; UserError where it had another one then."""
    archives = Path(cfg.archives)
    known = recorded_sha256(archives)
    if known.setdefault(file.name, sha256) != sha256:
        raise UserError(
            f"{file}: SHA-256 {sha256}, but {known[file.name]} at its first use:"
            f" {remedy_for_a_change(cfg, file, remedy(cfg, file))}"
        )
    archives.mkdir(parents=True, exist_ok=True)
    write_whole(archives / "sha256.json", json.dumps(known, indent=2) + "\n")


def check_space(sizes: Iterable[tuple[Path, int]], what: str) -> None:
    """Raise UserError where a disk has less space than is needed on it for `what`: the sum over its folders."""
    needed: Counter[int] = Counter()  # by disk: the folders may be on several
    folders: dict[Path, int] = {}
    for folder, size in sizes:
        folder.mkdir(parents=True, exist_ok=True)
        folders[folder] = folder.stat().st_dev
        needed[folders[folder]] += size
    for folder, disk in folders.items():
        free = shutil.disk_usage(folder).free
        if free < needed[disk]:
            raise UserError(
                f"{folder}: {gigabytes(free)} free, but {gigabytes(needed[disk])} needed on this disk for {what}: free"
                " some space, or set data.packed, data.archives or data.root to folders on another"
            )
