"""Downloading and packing BAPPS, and finding its packed splits."""

import logging
import os
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from lpips_repro.config import Observers
from lpips_repro.datasets.bapps.local_archives import (
    check_space,
    local_archives,
    record_sha256,
    recorded_sha256,
    remedy,
)
from lpips_repro.datasets.bapps.published import (
    ARCHIVES,
    COUNTS,
    DIFFERENT_JUDGMENTS,
    Archive,
    check_counts,
    count_is_right,
    judgments_differ,
    read_manifest,
    size_warning,
)
from lpips_repro.datasets.bapps.settings import BappsConfig
from lpips_repro.datasets.packed import IMAGE_FIELDS, PackedSplit, leftovers, open_split, patch_bytes, read_card
from lpips_repro.datasets.packing.archive_members import ArchiveError
from lpips_repro.datasets.packing.archives import Key, pack_archive
from lpips_repro.datasets.packing.folders import pack_split
from lpips_repro.datasets.packing.layout import SplitFolder, read_split
from lpips_repro.download.fetch import fetch_archive
from lpips_repro.errors import UserError
from lpips_repro.files.locks import clear_leftovers, exclusive

log = logging.getLogger(__name__)

OBSERVERS = Observers.human.value  # the settings allow no other
_COMPLETE = "complete {}, or move it elsewhere to download it"


def prepare_bapps(cfg: BappsConfig, phase: str, workers: int) -> list[PackedSplit]:
    """The packed splits of a phase, 2AFC first, in the paper's order. Missing ones are downloaded and packed.

    Splits that are unpacked under `cfg.root` are packed from there.

    Raises:
        UserError: if an archive cannot be downloaded, is damaged, or has other counts than published.
    """
    published = read_manifest(Path(cfg.manifest))  # first: its errors must not come after hours of downloads
    keys = [key for key in COUNTS if key[1] == phase]
    for folder in (packed_folder(cfg), Path(cfg.root)):
        clear_leftovers(folder, leftovers())
    # A complete dataset is read without the lock.
    if cfg.unpack or not all(_is_complete(cfg, key) for key in keys):
        _prepare_phase(cfg, phase, workers)
    return _open_splits(cfg, keys, published)


def find_packed(cfg: BappsConfig, phases: Collection[str]) -> tuple[list[PackedSplit], list[Key]]:
    """The packed splits of some phases and these settings, and the keys of the others. Nothing is made."""
    keys = [key for phase in phases for key in COUNTS if key[1] == phase]
    packed = [key for key in keys if is_packed(cfg, key)]
    return _open_splits(cfg, packed, read_manifest(Path(cfg.manifest))), [key for key in keys if key not in packed]


def is_packed(cfg: BappsConfig, key: Key) -> bool:
    """Whether there is a packed split with these settings and as many examples as published."""
    card = read_card(target(cfg, key))
    if card is None or not count_is_right(key, card["count"]):
        return False
    return (card.get("resize_mode"), card["observers"]) == (cfg.resize.value, OBSERVERS)


def _open_splits(cfg: BappsConfig, keys: Sequence[Key], published: dict[str, dict]) -> list[PackedSplit]:
    splits = [open_split(target(cfg, key), cfg.size) for key in keys]
    for split in splits:
        if judgments_differ(split, published):
            log.warning("%s", DIFFERENT_JUDGMENTS.format(split.name))
    return splits


def check_room(cfg: BappsConfig, phases: Collection[str]) -> None:
    """Raise UserError if a disk has too little space for all that is missing of some phases."""
    if cfg.unpack or not all(_is_complete(cfg, key) for key in COUNTS if key[1] in phases):
        # Under the lock, so that files that another process is writing do not count as missing.
        with exclusive(*_folders(cfg), leftovers=leftovers()):
            _check_space(cfg, phases)


def _prepare_phase(cfg: BappsConfig, phase: str, workers: int) -> None:
    with exclusive(*_folders(cfg), leftovers=leftovers()):
        _check_space(cfg, [phase])
        recorded_sha256(Path(cfg.archives))  # now: its errors must not come after hours of downloads
        for (kind, archive_phase), archive in ARCHIVES.items():
            if archive_phase == phase:
                _prepare_archive(cfg, archive, _keys(kind, phase), workers)


def _folders(cfg: BappsConfig) -> list[Path]:
    """The folders that are written to. Each has its own lock: all resize modes share the archives."""
    return [packed_folder(cfg), Path(cfg.archives), *([Path(cfg.root)] if cfg.unpack else [])]


def _keys(kind: str, phase: str) -> list[Key]:
    return [key for key in COUNTS if key[:2] == (kind, phase)]


def packed_folder(cfg: BappsConfig) -> Path:
    """The folder of the packed splits."""
    return Path(cfg.packed) / "bapps" / cfg.form_folder


def target(cfg: BappsConfig, key: Key) -> Path:
    """The folder of a packed split."""
    return packed_folder(cfg) / "-".join(key)


def _prepare_archive(cfg: BappsConfig, archive: Archive, keys: list[Key], workers: int) -> None:
    """Complete the packed splits of an archive, from unpacked files if there are any, else from the archive."""
    root = Path(cfg.root)
    done = [key for key in keys if _is_complete(cfg, key)]
    unpacked = [key for key in keys if _is_unpacked(cfg, key)]
    _pack_files(cfg, [key for key in unpacked if key not in done], workers)
    done += [key for key in unpacked if key not in done]
    if len(done) == len(keys) and not (cfg.unpack and len(unpacked) < len(keys)):
        return
    file = fetch_archive(archive.name, cfg.mirrors, Path(cfg.archives), needed_bytes=archive.size)
    if warning := size_warning(archive, file):
        log.warning("%s", warning)

    def check(sha256: str, counts: dict[Key, int]) -> None:
        missing = dict.fromkeys((key for key in keys if key not in done), 0)
        check_counts({**missing, **counts}, file, remedy(cfg, file))
        record_sha256(cfg, file, sha256)

    unpack = root / f".{archive.name}.unpack" if cfg.unpack else None
    try:
        pack_archive(
            file,
            archive.prefix,
            lambda key: target(cfg, key),
            skip=done,
            check=check,
            unpack=unpack,
            spool=packed_folder(cfg) / f".{archive.name}.spool",
            form=cfg.form,
            dataset="bapps",
            observers=OBSERVERS,
            workers=workers,
        )
        if unpack is not None:
            for key in keys:
                if key not in unpacked:  # the user's files stay
                    root.joinpath(*key).parent.mkdir(parents=True, exist_ok=True)
                    unpack.joinpath(*key).rename(root.joinpath(*key))
    except ArchiveError as error:
        raise UserError(f"{error}: {remedy(cfg, file)}") from error
    finally:
        if unpack is not None:
            shutil.rmtree(unpack, ignore_errors=True)


def _pack_files(cfg: BappsConfig, keys: list[Key], workers: int) -> None:
    """Pack the splits that are unpacked under `cfg.root`."""
    folders = {key: _read_unpacked(cfg, key) for key in keys}
    counts = {key: len(folder.names) for key, folder in folders.items()}
    wrong = [str(folder.path) for key, folder in folders.items() if not count_is_right(key, counts[key])]
    check_counts(counts, Path(cfg.root), _COMPLETE.format(", ".join(wrong)))
    for key, folder in folders.items():
        pack_split(folder, target(cfg, key), cfg.form, "bapps", OBSERVERS, workers)


def _read_unpacked(cfg: BappsConfig, key: Key) -> SplitFolder:
    path = Path(cfg.root, *key)
    try:
        return read_split(path, *key[:2])
    except UserError as error:
        raise UserError(f"{error}: {_COMPLETE.format(path)}") from error


def _check_space(cfg: BappsConfig, phases: Collection[str]) -> None:
    """Raise UserError if a disk has too little space to download and pack what is missing."""
    names, sizes, largest = [], [], 0
    for (kind, phase), archive in ARCHIVES.items():
        keys = _keys(kind, phase) if phase in phases else []
        packed_here = [key for key in keys if not _is_unpacked(cfg, key)]
        missing = [key for key in packed_here if not _is_complete(cfg, key)]
        unpacks = cfg.unpack and packed_here
        if not missing and not unpacks:
            continue
        names.append(archive.name)
        packed = sum(COUNTS[key] * len(IMAGE_FIELDS[key[0]]) * patch_bytes(cfg.size) for key in missing)
        largest = max(largest, packed)
        sizes.append((packed_folder(cfg), packed))
        if not local_archives(cfg, archive.name):
            part = Path(cfg.archives) / f"{archive.name}.part"
            begun = part.stat().st_size if part.is_file() else 0
            sizes.append((Path(cfg.archives), max(archive.size - begun, 0)))
        if unpacks:
            sizes.append((Path(cfg.root), archive.size + _files(keys) * _block_size(Path(cfg.root))))
    # The spool: the images of one archive at a time.
    sizes.append((packed_folder(cfg), largest))
    check_space(sizes, ", ".join(names))


def _files(keys: list[Key]) -> int:
    return sum(COUNTS[key] * (len(IMAGE_FIELDS[key[0]]) + 1) for key in keys)


def _block_size(folder: Path) -> int:
    """The most that a file takes on the disk beyond its length."""
    folder.mkdir(parents=True, exist_ok=True)
    return os.statvfs(folder).f_frsize


def _is_unpacked(cfg: BappsConfig, key: Key) -> bool:
    return Path(cfg.root, *key).is_dir()


def _is_complete(cfg: BappsConfig, key: Key) -> bool:
    """Whether a split is packed and need not be compared with unpacked files."""
    if not is_packed(cfg, key):
        return False
    source = (read_card(target(cfg, key)) or {}).get("source")
    return isinstance(source, dict) and ("archive" in source or not _is_unpacked(cfg, key))
