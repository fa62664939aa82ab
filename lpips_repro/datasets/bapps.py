"""BAPPS: how it is fetched and packed, and what of it is there."""

import json
import logging
import shutil
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from lpips_repro.config import BappsConfig
from lpips_repro.datasets.archive import Key, pack_archive
from lpips_repro.datasets.download import fetch_archive
from lpips_repro.datasets.layout import read_split
from lpips_repro.datasets.lock import exclusive
from lpips_repro.datasets.packed import IMAGE_FIELDS, PATCH_SIZE, PackedSplit, open_split, read_card
from lpips_repro.datasets.packing import pack_split
from lpips_repro.datasets.published import (
    ARCHIVES,
    COUNTS,
    DIFFERENT_JUDGMENTS,
    Archive,
    check_counts,
    count_is_right,
    gigabytes,
    judgments_differ,
    read_json,
    read_manifest,
    size_warning,
)
from lpips_repro.errors import UserError

log = logging.getLogger(__name__)


def prepare_bapps(cfg: BappsConfig, phase: str, workers: int) -> list[PackedSplit]:
    """The packed splits of a phase, 2AFC first, in the paper's order; what is missing is fetched and packed.

    Splits that are unpacked under `cfg.root` are packed from there.

    Raises:
        UserError: where an archive cannot be had, is damaged, or has other counts than published.
    """
    published = read_manifest(Path(cfg.manifest))  # first: what it lacks is told before hours of fetching
    keys = [key for key in COUNTS if key[1] == phase]
    # A dataset that is complete is read without the lock.
    if cfg.unpack or not all(_is_complete(cfg, key) for key in keys):
        _prepare_phase(cfg, phase, workers)
    return _open_splits(cfg, keys, published)


def find_packed(cfg: BappsConfig, phases: Collection[str]) -> tuple[list[PackedSplit], list[Key]]:
    """The splits of some phases that are packed under these settings, and those that are not; nothing is made."""
    keys = [key for phase in phases for key in COUNTS if key[1] == phase]
    there = [key for key in keys if is_packed(cfg, key)]
    return _open_splits(cfg, there, read_manifest(Path(cfg.manifest))), [key for key in keys if key not in there]


def is_packed(cfg: BappsConfig, key: Key) -> bool:
    """Whether there is a packed split of these settings, with as many examples as published."""
    card = read_card(target(cfg, key))
    if card is None or not count_is_right(key, card["count"]):
        return False
    return (card["resize_mode"], card["observers"]) == (cfg.resize.value, cfg.observers.value)


def _open_splits(cfg: BappsConfig, keys: Sequence[Key], published: dict[str, dict]) -> list[PackedSplit]:
    splits = [open_split(target(cfg, key)) for key in keys]
    for split in splits:
        if judgments_differ(split, published):
            log.warning("%s", DIFFERENT_JUDGMENTS.format(split.name))
    return splits


def _prepare_phase(cfg: BappsConfig, phase: str, workers: int) -> None:
    # The archives have a lock of their own: all resize modes share them.
    with exclusive(packed_folder(cfg)), exclusive(Path(cfg.archives)):
        for (kind, archive_phase), archive in ARCHIVES.items():
            if archive_phase == phase:
                keys = [key for key in COUNTS if key[:2] == (kind, phase)]
                _prepare_archive(cfg, archive, keys, workers)


def packed_folder(cfg: BappsConfig) -> Path:
    """Where the packed splits are."""
    return Path(cfg.packed) / "bapps" / cfg.resize.value


def target(cfg: BappsConfig, key: Key) -> Path:
    """The folder of a packed split."""
    return packed_folder(cfg) / "-".join(key)


def local_archives(cfg: BappsConfig, name: str) -> list[Path]:
    """The files of an archive on this computer: the download, then those of local mirrors, as `fetch_archive` finds."""
    folders = [Path(cfg.archives)]
    for mirror in cfg.mirrors:
        if mirror.lower().startswith("file://"):
            folders.append(Path(url2pathname(urlsplit(mirror).path)))
        elif not mirror.lower().startswith(("http://", "https://")):
            folders.append(Path(mirror).expanduser())
    files: dict[Path, Path] = {}  # by what they are: a local mirror may well be the folder of downloads
    for file in (folder / name for folder in folders):
        if file.is_file():
            files.setdefault(file.resolve(), file)
    return list(files.values())


def recorded_sha256(archives: Path) -> dict[str, str]:
    """The SHA-256 that each archive had at its first use."""
    file = archives / "sha256.json"
    return read_json(file, "delete it: it is written anew at the next use") if file.is_file() else {}


def _prepare_archive(cfg: BappsConfig, archive: Archive, keys: list[Key], workers: int) -> None:
    """Make the packed splits of one archive complete, from unpacked files where they are there, else from itself."""
    root = Path(cfg.root)
    done = [key for key in keys if _is_complete(cfg, key)]
    unpacked = [key for key in keys if root.joinpath(*key).is_dir()]
    folders = [read_split(root.joinpath(*key), *key[:2]) for key in unpacked if key not in done]
    check_counts({(f.kind, f.phase, f.split): len(f.names) for f in folders}, f"{root}")
    for folder in folders:
        key = (folder.kind, folder.phase, folder.split)
        pack_split(folder, target(cfg, key), cfg.resize.value, "bapps", cfg.observers.value, workers)
        done.append(key)
    if len(done) == len(keys) and not (cfg.unpack and len(unpacked) < len(keys)):
        return
    missing = [key for key in keys if key not in done]
    _check_space(cfg, archive, missing)
    archives = Path(cfg.archives)
    file = fetch_archive(archive.name, cfg.mirrors, archives, needed_bytes=archive.size)
    if warning := size_warning(archive, file):
        log.warning("%s", warning)

    def check(sha256: str, counts: dict[Key, int]) -> None:
        check_counts({**dict.fromkeys(missing, 0), **counts}, str(file))
        _record_sha256(archives, file, sha256)

    unpack = root / f".{archive.name}.unpack" if cfg.unpack else None
    try:
        if unpack is not None:
            shutil.rmtree(unpack, ignore_errors=True)
        pack_archive(
            file,
            archive.prefix,
            lambda key: target(cfg, key),
            skip=done,
            check=check,
            unpack=unpack,
            spool=packed_folder(cfg) / f".{archive.name}.spool",
            resize=cfg.resize.value,
            dataset="bapps",
            observers=cfg.observers.value,
            workers=workers,
        )
        if unpack is not None:
            for key in keys:
                if key not in unpacked:  # what the user has there stays
                    root.joinpath(*key).parent.mkdir(parents=True, exist_ok=True)
                    unpack.joinpath(*key).rename(root.joinpath(*key))
    finally:
        if unpack is not None:
            shutil.rmtree(unpack, ignore_errors=True)


def _check_space(cfg: BappsConfig, archive: Archive, missing: list[Key]) -> None:
    """Raise UserError where a disk has less space than fetching and packing an archive needs on it."""
    packed = sum(COUNTS[key] * len(IMAGE_FIELDS[key[0]]) * PATCH_SIZE**2 * 3 for key in missing)
    sizes = [(packed_folder(cfg), 2 * packed)]  # twice: in order of arrival, and then by name
    if not local_archives(cfg, archive.name):
        part = Path(cfg.archives) / f"{archive.name}.part"
        begun = part.stat().st_size if part.is_file() else 0
        sizes.append((Path(cfg.archives), max(archive.size - begun, 0)))
    if cfg.unpack:
        sizes.append((Path(cfg.root), archive.size))
    needed: Counter[int] = Counter()  # by disk: these folders may be on several
    for folder, size in sizes:
        folder.mkdir(parents=True, exist_ok=True)
        needed[folder.stat().st_dev] += size
    for folder, _ in sizes:
        size, free = needed[folder.stat().st_dev], shutil.disk_usage(folder).free
        if free < size:
            raise UserError(
                f"{folder}: {gigabytes(free)} free: {archive.name} needs {gigabytes(size)} on this disk:"
                " free some space, or set data.packed or data.archives to folders on another"
            )


def _is_complete(cfg: BappsConfig, key: Key) -> bool:
    """Whether a split is packed; one packed from files that are still there is not taken for granted."""
    if not is_packed(cfg, key):
        return False
    return "archive" in read_card(target(cfg, key))["source"] or not Path(cfg.root, *key).is_dir()


def _record_sha256(archives: Path, file: Path, sha256: str) -> None:
    known = recorded_sha256(archives)
    if known.setdefault(file.name, sha256) != sha256:
        raise UserError(
            f"{file}: SHA-256 {sha256}, but {known[file.name]} at its first use: delete it to fetch it anew; where the"
            f" new one is meant, delete its line in {archives / 'sha256.json'}"
        )
    archives.mkdir(parents=True, exist_ok=True)
    partial = archives / ".sha256.json"
    partial.write_text(json.dumps(known, indent=2) + "\n")
    partial.replace(archives / "sha256.json")
