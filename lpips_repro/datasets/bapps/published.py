"""Published figures of BAPPS: its archives, their sizes, its counts, and digests of its judgments."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.datasets.packing.archives import Key
from lpips_repro.errors import UserError
from lpips_repro.files import read_object


class Archive(NamedTuple):
    """A file of the dataset: its name, its published size in bytes (rounded), and the prefix of its members."""

    name: str
    size: int
    prefix: str


ARCHIVES = {
    ("2afc", "val"): Archive("twoafc_val.tar.gz", 1_100_000_000, "2afc/"),
    ("jnd", "val"): Archive("jnd.tar.gz", 200_000_000, ""),
    ("2afc", "train"): Archive("twoafc_train.tar.gz", 5_300_000_000, "2afc/"),
}
# Exact for 2AFC val. The others are published rounded to hundreds.
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

DIGEST = "judge_times_5_sha256"  # key of the digest of the judgments in the manifest
DIFFERENT_JUDGMENTS = (
    "ATTENTION: the judgments of {} differ from those of published results"
    " (bapps_val_manifest.json): scores on them cannot be compared with the paper's"
)


def count_is_right(key: Key, count: int) -> bool:
    """Whether a split has as many examples as published."""
    expected = COUNTS.get(key)
    if expected is None:
        return False
    return count == expected if key[:2] == ("2afc", "val") else round(count, -2) == expected


def check_counts(counts: dict[Key, int], source: Path, remedy: str) -> None:
    """Raise UserError, with all counts and a remedy, if one of them is not the published one."""
    if all(count_is_right(key, count) for key, count in counts.items()):
        return
    found = [
        f"{'/'.join(key)}: expected {COUNTS.get(key, 'no such split')}, found {count}"
        f"{'' if count_is_right(key, count) else ' (differs)'}"
        for key, count in counts.items()
    ]
    raise UserError(
        f"{source}: not BAPPS as published (counts of train and jnd to the hundred): {'; '.join(found)}: {remedy}, or"
        " use it as another dataset: DATA=folder DATA_ROOT=..."
    )


def gigabytes(size: int) -> str:
    """A size in bytes as text, such as "1.10 GB"."""
    return f"{size / 1e9:.2f} GB"


def size_warning(archive: Archive, file: Path) -> str | None:
    """A warning, in one line, if the size of an archive is not the published one, else None."""
    size = file.stat().st_size
    # Published with one decimal, in GB or GiB.
    if any(round(10 * size / unit) == round(archive.size / 1e8) for unit in (10**9, 2**30)):
        return None
    return (
        f"ATTENTION: {file} has {gigabytes(size)} ({size} bytes), expected about {archive.size / 1e9:.1f} GB:"
        " it may not be the authors' archive"
    )


def read_manifest(path: Path) -> dict[str, dict]:
    """The published digests of the judgments by split; UserError if the file cannot be read."""
    remedy = "restore it, run from the repository's root, or set data.manifest"
    manifest = read_object(path, remedy)
    for split, known in manifest.items():
        if not isinstance(known, dict) or not isinstance(known.get(DIGEST), str):
            raise UserError(f"{path}: {split!r} has no {DIGEST}: {remedy}")
    return manifest


def judgments_differ(split: PackedSplit, published: dict[str, dict]) -> bool | None:
    """Whether the judgments differ from those of the manifest; None if the manifest does not have the split."""
    known = published.get(split.card["split"])
    if split.card["kind"] != "2afc" or split.card["phase"] != "val" or known is None:
        return None
    fifths = np.rint(split.votes * 5).astype(np.uint8)
    return hashlib.sha256(fifths.tobytes()).hexdigest() != known[DIGEST]
