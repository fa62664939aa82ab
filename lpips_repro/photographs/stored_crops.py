"""Crops decoded once and kept on disk as memory maps, of which there may be more than there is memory."""

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lpips_repro.errors import UserError
from lpips_repro.files import keep_damaged, write_whole
from lpips_repro.files.locks import exclusive
from lpips_repro.parallel import available_cores, process_pool
from lpips_repro.photographs.crops import Crops, crops_of_each, digest_of_all, fill_crops, split_photographs
from lpips_repro.progress import Progress

log = logging.getLogger(__name__)

FORMAT = 1
# What opening stored crops raises if a file is missing or damaged.
DAMAGE = (FileNotFoundError, ValueError, LookupError, TypeError, EOFError)
CHUNK = 50  # photographs that a worker decodes in one go


def stored_crops(folder: Path | None, size: int, store: Path, workers: int | None) -> Crops:
    """What `load_images` gives, out of memory maps that are made where they are not there yet.

    They are made again if photographs have come, gone or changed (in name, size or time of change).

    Args:
        folder, size: as of `load_images`.
        store: the folder of all stored crops.
        workers: processes that decode; None for one a core.

    Raises:
        UserError: as `load_images`, or where the disk is full.
    """
    phases = split_photographs(folder)
    crops_folder = store / f"{folder.resolve().name if folder else 'mini'}-{size}-{_key(phases, size)}"
    if (crops := _open_if_whole(crops_folder, phases)) is None:  # what is complete is read without the lock
        with exclusive(crops_folder):
            _keep_if_damaged(crops_folder, phases)
            _complete(crops_folder, phases, size, workers or available_cores())
        crops = _open(crops_folder, phases)
    counts = len(crops.train), len(crops.held_out)
    log.info("%s: %d crops to learn from, %d held out, of other photographs", crops_folder, *counts)
    return crops


def _open_if_whole(crops_folder: Path, phases: Iterable[str]) -> Crops | None:
    """The crops of a folder, or None if they are not complete or damaged."""
    try:
        return _open(crops_folder, phases)
    except DAMAGE:
        return None


def _keep_if_damaged(crops_folder: Path, phases: Iterable[str]) -> None:
    """Set aside, under the lock, what is complete as its card says and cannot be opened."""
    card = crops_folder / "card.json"
    if card.is_file() and _open_if_whole(crops_folder, phases) is None:
        keep_damaged(*sorted(crops_folder.glob("*.npy")), card, said=f"{crops_folder}: damaged", then="made again")


def _open(crops_folder: Path, phases: Iterable[str]) -> Crops:
    card = json.loads((crops_folder / "card.json").read_text())
    train, held_out = (np.load(crops_folder / f"{phase}.npy", mmap_mode="r", allow_pickle=False) for phase in phases)
    return Crops(train, held_out, card["digest"])


def _complete(folder: Path, phases: dict[str, Sequence[Path]], size: int, workers: int) -> None:
    if (folder / "card.json").is_file():  # by another process, meanwhile
        return
    try:
        _make(folder, phases, size, workers)
    except OSError as error:
        for phase in phases:
            (folder / f"{phase}.npy").unlink(missing_ok=True)
        raise UserError(f"{folder}: {error.strerror}: free some space, or set store=FOLDER on another disk") from error


class _Job(NamedTuple):
    """Some photographs for a worker: see `fill_crops`."""

    array: Path
    files: Sequence[Path]
    first: int
    each: int


def _make(folder: Path, phases: dict[str, Sequence[Path]], size: int, workers: int) -> None:
    jobs = []
    for phase, files in phases.items():
        each, array = crops_of_each(phase, files), folder / f"{phase}.npy"
        np.lib.format.open_memmap(array, "w+", np.uint8, (each * len(files), size, size, 3)).flush()
        with array.open("r+b") as file:  # a full disk is found out here, not by a signal that kills the process
            os.posix_fallocate(file.fileno(), 0, array.stat().st_size)
        jobs += [_Job(array, files[at : at + CHUNK], at, each) for at in range(0, len(files), CHUNK)]
    digests = []
    with contextlib.ExitStack() as pool:
        run: Callable[..., Iterable[list[str]]] = map
        if workers > 1 and len(jobs) > workers:
            run = pool.enter_context(process_pool(workers, task=str(folder), setting="workers")).map
        with Progress(desc=folder.name, total=sum(map(len, phases.values())), unit="photograph") as bar:
            for found in run(_fill, jobs):
                digests += found
                bar.update(len(found))
    card = {"format": FORMAT, "size": size, "photographs": {phase: len(files) for phase, files in phases.items()}}
    write_whole(folder / "card.json", json.dumps({**card, "digest": digest_of_all(digests)}, indent=2) + "\n")


def _fill(job: _Job) -> list[str]:
    return fill_crops(np.load(job.array, mmap_mode="r+"), job.files, job.first, job.each)


def _key(phases: dict[str, Sequence[Path]], size: int) -> str:
    sha = hashlib.sha256(f"{FORMAT} {size}\n".encode())
    for phase, files in phases.items():
        for file in files:
            stat = file.stat()
            sha.update(f"{phase} {file.resolve()} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return sha.hexdigest()[:12]
