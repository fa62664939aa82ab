"""BAPPS: which archives hold it, how many examples it has, and how it is fetched, packed and checked."""

import hashlib
import json
import logging
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lpips_repro.config import BappsConfig
from lpips_repro.datasets.archive import Key, pack_archive
from lpips_repro.datasets.download import fetch_archive
from lpips_repro.datasets.layout import read_split
from lpips_repro.datasets.lock import exclusive
from lpips_repro.datasets.packed import IMAGE_FIELDS, PATCH_SIZE, PackedSplit, open_split, read_card
from lpips_repro.datasets.packing import pack_split
from lpips_repro.errors import UserError

log = logging.getLogger(__name__)


class Archive(NamedTuple):
    """A file of the dataset: its name, its size in bytes as published (rounded), and where its members belong."""

    name: str
    size: int
    prefix: str


ARCHIVES = {
    ("2afc", "val"): Archive("twoafc_val.tar.gz", 1_100_000_000, "2afc/"),
    ("jnd", "val"): Archive("jnd.tar.gz", 200_000_000, ""),
    ("2afc", "train"): Archive("twoafc_train.tar.gz", 5_300_000_000, "2afc/"),
}
# Exact for 2AFC val; the others are published rounded to hundreds only.
COUNTS: dict[Key, int] = {
    ("2afc", "val", "traditional"): 4720,
    ("2afc", "val", "cnn"): 4720,
    ("2afc", "val", "superres"): 10856,
    ("2afc", "val", "deblur"): 9440,
    ("2afc", "val", "color"): 4720,
    ("2afc", "val", "frameinterp"): 1888,
    ("jnd", "val", "traditional"): 4800,
    ("jnd", "val", "cnn"): 4800,
    ("2afc", "train", "traditional"): 56600,
    ("2afc", "train", "cnn"): 38100,
    ("2afc", "train", "mix"): 56600,
}


def count_is_right(key: Key, count: int) -> bool:
    """Whether a split has as many examples as published."""
    expected = COUNTS.get(key)
    if expected is None:
        return False
    return count == expected if key[:2] == ("2afc", "val") else round(count, -2) == expected


def prepare_bapps(cfg: BappsConfig, phase: str, workers: int) -> list[PackedSplit]:
    """The packed splits of a phase, 2AFC first, in the paper's order; what is missing is fetched and packed.

    Splits that are unpacked under `cfg.root` are packed from there.

    Raises:
        UserError: where an archive cannot be had, is damaged, or has other counts than published.
    """
    packed = Path(cfg.packed) / "bapps" / cfg.resize.value
    published = read_manifest(Path(cfg.manifest))
    keys = [key for key in COUNTS if key[1] == phase]
    # A dataset that is complete is read without the lock.
    if cfg.unpack or not all(_is_complete(packed, Path(cfg.root), key, cfg.resize.value) for key in keys):
        _prepare_phase(cfg, phase, packed, workers)
    splits = [open_split(target(packed, key)) for key in keys]
    for split in splits:
        if judgments_differ(split, published):
            log.warning("%s", DIFFERENT_JUDGMENTS.format(split.name))
    return splits


def _prepare_phase(cfg: BappsConfig, phase: str, packed: Path, workers: int) -> None:
    # The archives have a lock of their own: all resize modes share them.
    with exclusive(packed), exclusive(Path(cfg.archives)):
        for (kind, archive_phase), archive in ARCHIVES.items():
            if archive_phase == phase:
                keys = [key for key in COUNTS if key[:2] == (kind, phase)]
                _prepare_archive(cfg, archive, packed, keys, workers)


DIFFERENT_JUDGMENTS = (
    "ATTENTION: the judgments of {} are not those that others have published results on"
    " (bapps_val_manifest.json): scores on them do not compare with the paper's"
)


def target(packed: Path, key: Key) -> Path:
    """The folder of a packed split."""
    return packed / "-".join(key)


def read_manifest(path: Path) -> dict[str, dict]:
    """The published digests of the judgments by split; UserError where the file cannot be read."""
    return _read_json(path, "run from the repository's root, or set data.manifest")


def _read_json(path: Path, remedy: str) -> dict:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}): {remedy}") from error


def judgments_differ(split: PackedSplit, published: dict[str, dict]) -> bool | None:
    """Whether the judgments differ from those of the manifest; None where it does not have the split."""
    known = published.get(split.card["split"])
    if split.card["kind"] != "2afc" or split.card["phase"] != "val" or known is None:
        return None
    fifths = np.rint(split.votes * 5).astype(np.uint8)
    return hashlib.sha256(fifths.tobytes()).hexdigest() != known["judge_times_5_sha256"]


def recorded_sha256(archives: Path) -> dict[str, str]:
    """The SHA-256 that each archive had at its first use."""
    file = archives / "sha256.json"
    return _read_json(file, "delete it: it is written anew at the next use") if file.is_file() else {}


def _prepare_archive(cfg: BappsConfig, archive: Archive, packed: Path, keys: list[Key], workers: int) -> None:
    """Make the packed splits of one archive complete, from unpacked files where they are there, else from itself."""
    root = Path(cfg.root)
    done = [key for key in keys if _is_complete(packed, root, key, cfg.resize.value)]
    unpacked = [key for key in keys if root.joinpath(*key).is_dir()]
    folders = [read_split(root.joinpath(*key), *key[:2]) for key in unpacked if key not in done]
    _check_counts({(f.kind, f.phase, f.split): len(f.names) for f in folders}, f"{root}")
    for folder in folders:
        key = (folder.kind, folder.phase, folder.split)
        pack_split(folder, target(packed, key), cfg.resize.value, "bapps", cfg.observers.value, workers)
        done.append(key)
    if len(done) == len(keys) and not (cfg.unpack and len(unpacked) < len(keys)):
        return
    missing = [key for key in keys if key not in done]
    needed = 2 * sum(COUNTS[key] * len(IMAGE_FIELDS[key[0]]) * PATCH_SIZE**2 * 3 for key in missing)
    if not (Path(cfg.archives) / archive.name).is_file():
        needed += archive.size
    if cfg.unpack:
        needed += archive.size
    free = shutil.disk_usage(packed).free
    if free < needed:
        raise UserError(f"{packed}: {free / 1e9:.1f} GB free: {archive.name} needs {needed / 1e9:.1f} GB")
    archives = Path(cfg.archives)
    file = fetch_archive(archive.name, cfg.mirrors, archives, needed_bytes=archive.size)

    def check(sha256: str, counts: dict[Key, int]) -> None:
        _check_counts({**dict.fromkeys(missing, 0), **counts}, str(file))
        _record_sha256(archives, file, sha256)

    unpack = root / f".{archive.name}.unpack" if cfg.unpack else None
    try:
        if unpack is not None:
            shutil.rmtree(unpack, ignore_errors=True)
        pack_archive(
            file,
            archive.prefix,
            lambda key: target(packed, key),
            skip=done,
            check=check,
            unpack=unpack,
            spool=packed / f".{archive.name}.spool",
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


def _is_complete(packed: Path, root: Path, key: Key, resize: str) -> bool:
    """Whether a split is packed; one packed from files that are still there is not taken for granted."""
    card = read_card(target(packed, key))
    if card is None or card["resize_mode"] != resize or not count_is_right(key, card["count"]):
        return False
    return "archive" in card["source"] or not root.joinpath(*key).is_dir()


def _check_counts(counts: dict[Key, int], source: str) -> None:
    if all(count_is_right(key, count) for key, count in counts.items()):
        return
    lines = [
        f"  {'/'.join(key)}: expected {COUNTS.get(key, 'no such split')}, found {count}"
        f"{'' if count_is_right(key, count) else '  <- differs'}"
        for key, count in counts.items()
    ]
    raise UserError(
        f"{source}: not BAPPS as published (counts of train and jnd to the hundred):\n" + "\n".join(lines) + "\n"
        "delete it to fetch it anew, or use it as another dataset: DATA=folder DATA_ROOT=..."
    )


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
