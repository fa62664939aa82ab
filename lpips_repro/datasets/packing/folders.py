"""Packing a folder: each image of a split is decoded once, in several processes."""

import dataclasses
import logging
import os
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np

from lpips_repro.datasets.packed import (
    IMAGE_FIELDS,
    VOTE_FIELD,
    PackedSplit,
    finish_split,
    open_split,
    partial_split,
    patch_bytes,
    read_card,
    write_array,
    write_patches_header,
)
from lpips_repro.datasets.packing.file_names import own_names
from lpips_repro.datasets.packing.layout import SplitFolder
from lpips_repro.datasets.packing.patches import PatchForm, load_patch
from lpips_repro.errors import UserError
from lpips_repro.parallel import available_cores, process_pool
from lpips_repro.progress import Progress

log = logging.getLogger(__name__)

# Examples per task: enough to hide the cost of dispatch, few enough for the progress bar.
CHUNK = 32


def pack_split(
    folder: SplitFolder, target: Path, form: PatchForm, dataset: str, observers: str, workers: int
) -> PackedSplit:
    """Pack a split, or open the packed split if its files have not changed.

    Args:
        folder: the split as files.
        target: folder of the packed split.
        form: form of the patches.
        dataset: name of the dataset, for the card.
        observers: "human", "simulated" or "unknown".
        workers: processes; 0: threads of this process, for scripts without `if __name__ == "__main__":`.

    Returns:
        The opened `PackedSplit`. Its card lists images that are not of the stored form that `exact` expects.

    Raises:
        UserError: if a file is wrong (the message names it) or the disk is full. Nothing half-written is left.
    """
    packed = open_packed(folder, target, form, observers)
    if packed is None:
        packed = _pack(folder, target, form, dataset, observers, workers)
    report(packed, folder.path)
    return packed


def open_packed(folder: SplitFolder, target: Path, form: PatchForm, observers: str) -> PackedSplit | None:
    """The packed split of these files and settings (as for `pack_split`), or None if it is missing or not current.

    Its card gets the observers given here, which do not change the packed arrays.
    """
    card = read_card(target)
    if not card or not _is_of(card, folder.fingerprint(), form.resize):
        return None
    packed = open_split(target, form.size)
    return dataclasses.replace(packed, card={**packed.card, "observers": observers})


def report(packed: PackedSplit, source: Path) -> None:
    """Log which images of `source` were resized, or are not of the stored form."""
    stored, size = packed.card["stored_sizes"], "{}x{}".format(*packed.size)
    if larger := {stored_size: count for stored_size, count in stored.items() if stored_size != size}:
        log.info(
            "%s: %d of %d images are stored larger (%s pixels): resized to %s by data.resize=%s",
            source,
            sum(larger.values()),
            sum(stored.values()),
            ", ".join(larger),
            size,
            packed.card["resize_mode"],
        )
    warn_of_odd_images(packed, source)


def warn_of_odd_images(packed: PackedSplit, source: Path | str) -> None:
    """Warn of the images of `source` whose patch `exact` could not restore."""
    if odd := packed.card["not_of_stored_form"]:
        log.warning(
            "%s: %d of %d images are not of the stored form (with repeated patch pixels, as in BAPPS),"
            " so that exact sampling does not restore their patch: %s",
            source,
            len(odd),
            sum(packed.card["stored_sizes"].values()),
            ", ".join(odd[:5]) + (", ..." if len(odd) > 5 else ""),
        )


def _is_of(card: dict[str, Any], fingerprint: str, resize: str) -> bool:
    """Whether a complete card is of these files and settings."""
    if not {"source", "resize_mode", "stored_sizes", "not_of_stored_form"} <= card.keys():
        return False
    found = isinstance(card["source"], dict) and card["source"].get("fingerprint")
    return (found, card["resize_mode"]) == (fingerprint, resize)


def _pack(
    folder: SplitFolder, target: Path, form: PatchForm, dataset: str, observers: str, workers: int
) -> PackedSplit:
    fingerprint = folder.fingerprint()  # before reading, so that files that change meanwhile are packed again
    with partial_split(target) as partial:
        sizes, odd = _fill(partial, folder, form, workers)
        card = {
            "kind": folder.kind,
            "phase": folder.phase,
            "split": folder.split,
            "dataset": dataset,
            "resize": form.describe(set(sizes)),
            "resize_mode": form.resize,
            "observers": observers,
            "source": {"folder": str(folder.path.resolve()), "fingerprint": fingerprint},
            "stored_sizes": {f"{size}x{size}": count for size, count in sorted(sizes.items())},
            "not_of_stored_form": odd,
        }
        if files := own_names(folder):
            card["files"] = files
        return finish_split(partial, target, card)


def _fill(partial: Path, folder: SplitFolder, form: PatchForm, workers: int) -> tuple[Counter, list[str]]:
    """Write the arrays of a split; return the counts of stored sizes, and the images not of the stored form."""
    count, fields = len(folder.names), IMAGE_FIELDS[folder.kind]
    needed = count * len(fields) * patch_bytes(form.size)
    free = shutil.disk_usage(partial).free
    if free < needed:
        raise UserError(
            f"{partial.parent}: {free / 1e9:.1f} GB free: packing {folder.path} needs {needed / 1e9:.1f} GB"
        )
    votes = np.array([folder.vote(name) for name in folder.names], dtype=np.float32)
    write_array(partial / f"{VOTE_FIELD[folder.kind]}.npy", votes)
    for field in fields:
        with (partial / f"{field}.npy").open("wb") as file:
            write_patches_header(file, count, form.size)
            file.truncate(file.tell() + count * patch_bytes(form.size))

    sizes: Counter = Counter()
    odd: list[str] = []
    starts = range(0, count, CHUNK)
    processes = min(workers, len(starts))
    with (
        process_pool(processes, task=str(folder.path)) if processes else ThreadPoolExecutor(available_cores()) as pool,
        Progress(
            total=count * len(fields), desc=f"packing {folder.kind}/{folder.phase}/{folder.split}", unit="image"
        ) as bar,
    ):
        tasks = []
        for start in starts:
            names = folder.names[start : start + CHUNK]
            files = {field: [folder.image(field, name) for name in names] for field in fields}
            tasks.append(pool.submit(_decode_chunk, partial, files, form, start))
        for task in as_completed(tasks):
            chunk_sizes, chunk_odd = task.result()
            sizes += chunk_sizes
            odd += chunk_odd
            bar.update(chunk_sizes.total())
    return sizes, sorted(odd)


def _decode_chunk(
    partial: Path, files: dict[str, list[Path]], form: PatchForm, start: int
) -> tuple[Counter, list[str]]:
    """Write the patches of image files by field, from example `start` on; return as `_fill`."""
    sizes: Counter = Counter()
    odd = []
    for field, paths in files.items():
        # Not a memory map: a write that the disk has no room for would kill the process.
        with (partial / f"{field}.npy").open("r+b") as file:
            np.lib.format.read_magic(file)
            np.lib.format.read_array_header_1_0(file)
            file.seek(start * patch_bytes(form.size), os.SEEK_CUR)
            for path in paths:
                patch, size, of_stored_form = load_patch(path, form)
                file.write(patch.tobytes())
                sizes[size] += 1
                if not of_stored_form:
                    odd.append(f"{field}/{path.name}")
    return sizes, odd
