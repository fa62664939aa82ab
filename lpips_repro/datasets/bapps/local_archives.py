"""The archives on this computer: their files, their SHA-256 at first use, and the disk space for more."""

import json
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from lpips_repro.datasets.bapps.published import gigabytes
from lpips_repro.datasets.bapps.settings import BappsConfig
from lpips_repro.download.mirrors import local_folder
from lpips_repro.errors import UserError
from lpips_repro.files import read_object, write_whole


def local_archives(cfg: BappsConfig, name: str) -> list[Path]:
    """The files of an archive on this computer: the download, then those of local mirrors, as in `fetch_archive`."""
    folders = [Path(cfg.archives), *filter(None, map(local_folder, cfg.mirrors))]
    files: dict[Path, Path] = {}  # by resolved path: a local mirror may be the folder of downloads
    for file in (folder / name for folder in folders):
        if file.is_file():
            files.setdefault(file.resolve(), file)
    return list(files.values())


def remedy(cfg: BappsConfig, file: Path, command: str = "the command again") -> str:
    """The remedy for a faulty archive; `command` downloads what is missing."""
    if file.parent.resolve() == Path(cfg.archives).resolve():
        return (
            f"move {file} elsewhere and run {command} to download it again (from the same mirror first: if its file"
            " is damaged again, remove the mirror from data.mirrors or move it to the end)"
        )
    return f"replace {file}, which is used in place, or remove its folder from data.mirrors"


def remedy_for_a_change(cfg: BappsConfig, file: Path, remedy: str) -> str:
    """The remedy for an archive that has changed since its first use, or how to accept the new one."""
    return f"{remedy}; to use the new one, remove its line from {cfg.archives}/sha256.json"


def recorded_sha256(archives: Path) -> dict[str, str]:
    """The SHA-256 of each archive at its first use."""
    file, advice = archives / "sha256.json", "move it elsewhere: a new one is written at the next use"
    recorded = read_object(file, advice) if file.is_file() else {}
    for name, sha256 in recorded.items():
        if not isinstance(sha256, str):
            raise UserError(f"{file}: {name!r} has {sha256!r}: expected a SHA-256: {advice}")
    return recorded


def record_sha256(cfg: BappsConfig, file: Path, sha256: str) -> None:
    """Record the SHA-256 of an archive at its first use; UserError if the recorded one differs."""
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
    """Raise UserError if a disk has less free space than `what` needs in all folders on it."""
    needed: Counter[int] = Counter()  # by disk
    disks: dict[Path, int] = {}
    for folder, size in sizes:
        folder.mkdir(parents=True, exist_ok=True)
        disks[folder] = folder.stat().st_dev
        needed[disks[folder]] += size
    for folder, disk in disks.items():
        free = shutil.disk_usage(folder).free
        if free < needed[disk]:
            raise UserError(
                f"{folder}: {gigabytes(free)} free, but {gigabytes(needed[disk])} needed on this disk for {what}: free"
                " some space, or set data.packed, data.archives or data.root to folders on another disk"
            )
