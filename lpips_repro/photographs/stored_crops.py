"""Crops that are decoded once and stored on disk as memory maps, so that they need not fit into memory."""

import contextlib
import hashlib
import json
import logging
import os
import tokenize
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lpips_repro.errors import UserError
from lpips_repro.files import keep_damaged, read_json, write_whole
from lpips_repro.files.locks import exclusive
from lpips_repro.parallel import available_cores, process_pool
from lpips_repro.photographs.crops import (
    LEAST_CROPS,
    Crops,
    crops_of_each,
    digest_of_all,
    fill_crops,
    split_photographs,
)
from lpips_repro.photographs.left_out import warn_of, without_unusable
from lpips_repro.progress import Progress

log = logging.getLogger(__name__)

FORMAT = 1
CARD, PHASES = "card.json", (*LEAST_CROPS,)
# The errors of opening stored crops if a file is missing or damaged; the last line: of NumPy's parser of headers.
DAMAGE = (
    *(FileNotFoundError, ValueError, LookupError, TypeError, EOFError),
    *(tokenize.TokenError, SyntaxError, MemoryError, RecursionError),
)
CHUNK = 50  # photographs per task of a worker


def stored_crops(folder: Path | None, size: int, store: Path, workers: int | None) -> Crops:
    """The crops of all photographs that can be used, as memory maps, which are made if they are missing.

    Photographs that cannot be used are left out with a warning; the crops are those of a folder without them. Crops are
    made again if photographs were added, removed or changed (name, size or time of change).

    Args:
        folder: folder of photographs; None: those of the mini dataset, which must all be usable.
        size: side of the crops in pixels.
        store: the folder of all stored crops.
        workers: processes that decode; None: one per core.

    Raises:
        UserError: if fewer than two photographs can be used, or if the disk is full.
    """
    name = f"{folder.resolve().name if folder else 'mini'}-{size}-{_key(split_photographs(folder), size)}"
    crops_folder = store / name
    if (crops := _open_if_complete(crops_folder)) is None:  # complete crops are read without the lock
        with exclusive(crops_folder):
            _keep_if_damaged(crops_folder)
            _complete(crops_folder, folder, size, workers or available_cores())
        crops = _open(crops_folder)
    warn_of(crops.left_out, crops_folder / CARD)
    counts = len(crops.train), len(crops.held_out)
    log.info("%s: %d crops for training, %d held out, from other photographs", crops_folder, *counts)
    return crops


def _open_if_complete(crops_folder: Path) -> Crops | None:
    """The crops of a folder, or None if they are incomplete or damaged."""
    try:
        return _open(crops_folder)
    except DAMAGE:
        return None


def _keep_if_damaged(crops_folder: Path) -> None:
    """Set crops aside if they have a card but cannot be opened. The caller holds the lock."""
    card = crops_folder / CARD
    if card.is_file() and _open_if_complete(crops_folder) is None:
        keep_damaged(*sorted(crops_folder.glob("*.npy")), card, said=f"{crops_folder}: damaged", then="made again")


def _open(crops_folder: Path) -> Crops:
    card = read_json(crops_folder / CARD)
    train, held_out = (np.load(crops_folder / f"{phase}.npy", mmap_mode="r", allow_pickle=False) for phase in PHASES)
    return Crops(train, held_out, card["digest"], dict(card.get("left_out", {})))


def _complete(crops_folder: Path, folder: Path | None, size: int, workers: int) -> None:
    if (crops_folder / CARD).is_file():  # another process has made them meanwhile
        return
    try:
        card, left_out = without_unusable(lambda left_out: _make(crops_folder, folder, left_out, size, workers))
        if left_out:
            card["left_out"] = left_out
        write_whole(crops_folder / CARD, json.dumps(card, indent=2) + "\n")
    except OSError as error:
        for phase in PHASES:
            (crops_folder / f"{phase}.npy").unlink(missing_ok=True)
        why = f"{error.strerror}: free some space, or set store=FOLDER on another disk"
        raise UserError(f"{crops_folder}: {why}") from error


class _Job(NamedTuple):
    """Some photographs for a worker: see `fill_crops`."""

    array: Path
    files: Sequence[Path]
    first: int
    each: int
    folder: Path | None


def _make(
    crops_folder: Path, folder: Path | None, left_out: Mapping[str, str], size: int, workers: int
) -> tuple[dict[str, Any], dict[str, str]]:
    """Make the files of crops; return their card, and the photographs that cannot be used."""
    phases, jobs = split_photographs(folder, left_out), []
    for phase, files in phases.items():
        each, array = crops_of_each(phase, files), crops_folder / f"{phase}.npy"
        np.lib.format.open_memmap(array, "w+", np.uint8, (each * len(files), size, size, 3)).flush()
        with array.open("r+b") as file:  # a full disk is an error here; later, a signal would kill the process
            os.posix_fallocate(file.fileno(), 0, array.stat().st_size)
        jobs += [_Job(array, files[at : at + CHUNK], at, each, folder) for at in range(0, len(files), CHUNK)]
    digests: list[str] = []
    unusable: dict[str, str] = {}
    with contextlib.ExitStack() as pool:
        run: Callable[..., Iterable[tuple[list[str], dict[str, str]]]] = map
        if workers > 1 and len(jobs) > workers:
            run = pool.enter_context(process_pool(workers, task=str(crops_folder), setting="workers")).map
        with Progress(desc=crops_folder.name, total=sum(map(len, phases.values())), unit="photograph") as bar:
            for found, more in run(_fill, jobs):
                digests += found
                unusable |= more
                bar.update(len(found) + len(more))
    counts = {phase: len(files) for phase, files in phases.items()}
    return {"format": FORMAT, "size": size, "photographs": counts, "digest": digest_of_all(digests)}, unusable


def _fill(job: _Job) -> tuple[list[str], dict[str, str]]:
    return fill_crops(np.load(job.array, mmap_mode="r+"), job.files, job.first, job.each, job.folder)


def _key(phases: dict[str, Sequence[Path]], size: int) -> str:
    sha = hashlib.sha256(f"{FORMAT} {size}\n".encode())
    for phase, files in phases.items():
        for file in files:
            stat = file.stat()
            closed = "" if os.access(file, os.R_OK) else " cannot be read"  # permissions change without the time
            sha.update(f"{phase} {file.resolve()} {stat.st_size} {stat.st_mtime_ns}{closed}\n".encode())
    return sha.hexdigest()[:12]
