"""Packing from an archive in one pass, without unpacking files.

    read member -> check name and size -> decode in other processes -> spool in order of arrival
    at the end of the archive: pair by name -> check counts -> write each split in order of names, whole or not at all

The spool is a folder next to the packed splits with the patches of each field, one after the other. It is removed after
the splits are written; a spool of a killed run is removed at the start.
"""

import contextlib
import errno
import io
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lpips_repro.datasets.packed import (
    IMAGE_FIELDS,
    VOTE_FIELD,
    PackedSplit,
    finish_split,
    partial_split,
    patch_bytes,
    write_array,
    write_patches_header,
)
from lpips_repro.datasets.packing.archive_members import ArchiveError, HashingReader, Member, read_members
from lpips_repro.datasets.packing.folders import warn_of_odd_images
from lpips_repro.datasets.packing.layout import read_vote
from lpips_repro.datasets.packing.patches import PatchForm, load_patch
from lpips_repro.errors import UserError
from lpips_repro.files.writing import space_remedy
from lpips_repro.parallel import process_pool

# Images per task, their bytes, and pending tasks per worker: they limit the memory.
CHUNK, CHUNK_BYTES, AHEAD = 64, 4 << 20, 3

Key = tuple[str, str, str]  # kind, phase, split


@dataclass
class _Spool:
    """The images and votes of a split so far: the slot of each name per field, in order of arrival, and the votes."""

    folder: Path
    slots: dict[str, dict[str, int]]
    waiting: dict[str, list[tuple[str, int, bytes]]]
    waiting_bytes: Counter = field(default_factory=Counter)
    votes: dict[str, float] = field(default_factory=dict)
    sizes: Counter = field(default_factory=Counter)
    odd: list[str] = field(default_factory=list)


def pack_archive(
    archive: Path,
    prefix: str,
    target: Callable[[Key], Path],
    *,
    skip: Collection[Key],
    check: Callable[[str, dict[Key, int]], None],
    unpack: Path | None,
    spool: Path,
    form: PatchForm,
    dataset: str,
    observers: str,
    workers: int,
) -> list[PackedSplit]:
    """Pack the splits of an archive, except those to skip.

    Args:
        archive: the .tar.gz.
        prefix: prefix of its members' names in the BAPPS layout, such as "2afc/".
        target: returns the folder of the packed split of a key.
        skip: keys of complete splits.
        check: called with the archive's SHA-256 and counts by split before splits are written; raises UserError.
        unpack: folder to also write the files to, in the BAPPS layout, or None.
        spool: the folder of temporary files.
        form, dataset, observers, workers: as for `pack_split`.

    Raises:
        ArchiveError: if the archive is damaged or truncated, if a member is refused or is not an image or a share, or
            if a file has no counterpart. After an error, each split is complete or absent.
        UserError: if the disk is full.
    """
    shutil.rmtree(spool, ignore_errors=True)
    try:
        with archive.open("rb") as file, process_pool(workers, task=str(archive)) as pool:
            reader = HashingReader(file, archive.stat().st_size, archive.name)
            members = read_members(reader, archive, prefix)
            if unpack is not None:
                members = _unpack(members, unpack)
            spools = _spool_members(members, archive, skip, spool, form, pool, AHEAD * workers)
        counts = {key: _paired_count(archive, key, split) for key, split in spools.items()}
        check(reader.sha256.hexdigest(), counts)
        card: dict[str, Any] = {"dataset": dataset, "resize_mode": form.resize, "observers": observers}
        card["source"] = {"archive": archive.name, "sha256": reader.sha256.hexdigest()}
        packed = [_write_split(target(key), key, split, card, form) for key, split in sorted(spools.items())]
    except OSError as error:
        reason = f"{error.strerror}: nothing half-written is left{space_remedy(error)}"
        raise UserError(f"{error.filename or spool}: {reason}") from error
    finally:
        shutil.rmtree(spool, ignore_errors=True)
    for split in packed:
        warn_of_odd_images(split, f"{archive}:{split.name}")
    return packed


def _unpack(members: Iterable[Member], folder: Path) -> Iterator[Member]:
    for member in members:
        file = folder / member.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(member.content)
        yield member


def _spool_members(
    members: Iterable[Member],
    archive: Path,
    skip: Collection[Key],
    folder: Path,
    form: PatchForm,
    pool: ProcessPoolExecutor,
    most_tasks: int,
) -> dict[Key, _Spool]:
    spools: dict[Key, _Spool] = {}
    tasks: list[tuple[_Spool, Future]] = []

    def submit(key: Key, image: str) -> None:
        if len(tasks) == most_tasks:
            _collect(*tasks.pop(0))
        split = spools[key]
        batch = split.waiting.pop(image)
        del split.waiting_bytes[image]
        name = f"{archive}:{'/'.join(key)}/{image}"
        tasks.append((split, pool.submit(_decode, split.folder / f"{image}.raw", name, batch, form)))

    for key, name, stem, path, content in members:
        if key in skip:
            continue
        if key not in spools:
            spools[key] = _open_spool(folder / "-".join(key), IMAGE_FIELDS[key[0]])
        split = spools[key]
        if name == VOTE_FIELD[key[0]]:
            with _blaming_the_archive():
                split.votes[stem] = read_vote(Path(f"{archive}:{path}"), name, io.BytesIO(content))
            continue
        slot = split.slots[name].setdefault(stem, len(split.slots[name]))
        batch = split.waiting.setdefault(name, [])
        batch.append((stem, slot, content))
        split.waiting_bytes[name] += len(content)
        if len(batch) == CHUNK or split.waiting_bytes[name] >= CHUNK_BYTES:
            submit(key, name)
    for key, split in spools.items():
        for image in list(split.waiting):
            submit(key, image)
    for task in tasks:
        _collect(*task)
    return spools


def _open_spool(folder: Path, images: Collection[str]) -> _Spool:
    folder.mkdir(parents=True)
    for image in images:
        (folder / f"{image}.raw").touch()
    return _Spool(folder, {image: {} for image in images}, {})


def _decode(raw: Path, name: str, batch: list[tuple[str, int, bytes]], form: PatchForm) -> tuple[Counter, list[str]]:
    """Write the patches of a batch to their slots; return counts of stored sizes, and files not of the stored form."""
    sizes: Counter = Counter()
    odd = []
    with raw.open("r+b") as file:
        for stem, slot, content in batch:
            with _blaming_the_archive():
                patch, size, of_stored_form = load_patch(Path(f"{name}/{stem}.png"), form, io.BytesIO(content))
            file.seek(slot * patch.nbytes)
            file.write(patch.tobytes())
            sizes[size] += 1
            if not of_stored_form:
                odd.append(f"{raw.stem}/{stem}.png")
    return sizes, odd


@contextlib.contextmanager
def _blaming_the_archive() -> Iterator[None]:
    """A context that turns UserError into ArchiveError: only another archive fixes a faulty member."""
    try:
        yield
    except UserError as error:
        raise ArchiveError(f"{error}") from error


def _collect(split: _Spool, task: Future) -> None:
    sizes, odd = task.result()
    split.sizes += sizes
    split.odd += odd


def _paired_count(archive: Path, key: Key, split: _Spool) -> int:
    every = set(split.votes).union(*split.slots.values())
    fields: dict[str, Collection[str]] = {**split.slots, VOTE_FIELD[key[0]]: split.votes}
    for name, found in fields.items():
        missing = sorted(every.difference(found))
        if missing:
            raise ArchiveError(
                f"{archive}: {'/'.join(key)}/{name} has no file {missing[0]}, though its counterparts are there"
                f" ({len(missing)} missing in all)"
            )
    return len(every)


def _write_split(path: Path, key: Key, split: _Spool, card: dict[str, Any], form: PatchForm) -> PackedSplit:
    kind, phase, name = key
    names = sorted(split.votes)
    with partial_split(path) as partial:
        for image, slots in split.slots.items():
            order = [slots[stem] for stem in names]
            _write_field(partial / f"{image}.npy", split.folder / f"{image}.raw", order, form.size)
        votes = np.array([split.votes[stem] for stem in names], dtype=np.float32)
        write_array(partial / f"{VOTE_FIELD[kind]}.npy", votes)
        resize = form.describe(set(split.sizes))
        stored = {f"{size}x{size}": count for size, count in sorted(split.sizes.items())}
        whole = {**card, "kind": kind, "phase": phase, "split": name, "resize": resize, "stored_sizes": stored}
        return finish_split(partial, path, {**whole, "not_of_stored_form": sorted(split.odd)})


def _write_field(target: Path, raw: Path, slots: list[int], size: int) -> None:
    """Copy patches with sides of `size` pixels from their slots into a .npy file, in the given order."""
    length = patch_bytes(size)
    with raw.open("rb") as source, target.open("wb") as file:
        write_patches_header(file, len(slots), size)
        for slot in slots:
            source.seek(slot * length)
            patch = source.read(length)
            if len(patch) != length:
                raise OSError(errno.EIO, "ends before its last patch", str(raw))
            file.write(patch)
