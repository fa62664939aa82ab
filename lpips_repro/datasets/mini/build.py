"""The mini dataset: all splits of BAPPS in a small size, made in a minute from photographs in installed packages.

The judgments are simulated (see observers.py) and say nothing about human vision.

On one machine the same seed and settings give the same digests, for any number of workers. On another machine the
digests may differ, since trained autoencoders and transcendental functions differ in their last bits. So the card of a
split records the machine with the digest.
"""

import hashlib
import logging
import pickle
import platform
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch

from lpips_repro import distortions
from lpips_repro.datasets.mini.autoencoders import train_autoencoder
from lpips_repro.datasets.mini.examples import NEED_AUTOENCODERS, SPLITS, Split, is_catch, make_example, make_generator
from lpips_repro.datasets.mini.observers import choose_probability, perceptual_distance, same_probability, vote
from lpips_repro.datasets.mini.workers import map_over_processes
from lpips_repro.datasets.packed import IMAGE_FIELDS, VOTE_FIELD, PackedSplit, open_split, read_card, write_split
from lpips_repro.errors import UserError
from lpips_repro.progress import Progress
from lpips_repro.versions import installed_version

log = logging.getLogger(__name__)

VOTES = {"train": 2, "val": 5, "jnd": 3}  # as in BAPPS
CHUNK = 20  # examples per call of a worker
NOTE = "The judgments are simulated (lpips_repro/datasets/mini/observers.py) and tell nothing about human vision."
REPEATABLE = "Every run on the same machine gives the same digest. Other machines may differ by rounding errors."
LIBRARIES = ("numpy", "pillow", "scikit-image", "scikit-learn", "scipy", "torch")


class Chunk(NamedTuple):
    """Consecutive examples of one split that a worker makes, and the pickled autoencoders."""

    split: Split
    seed: int
    indices: range
    autoencoders: list[bytes]


def build_mini(
    root: Path,
    *,
    seed: int,
    train: int,
    val: int,
    jnd: int,
    workers: int,
    autoencoders: int = 12,
    autoencoder_steps: int = 120,
) -> list[PackedSplit]:
    """Make the packed splits that are missing.

    Several workers are new processes, so that the calling script needs `if __name__ == "__main__":`.

    Args:
        root: the folder of the packed splits, each in `<kind>-<phase>-<split>`.
        seed: seed of all random numbers.
        train: triplets in each of the three train splits.
        val: triplets in each of the six val splits.
        jnd: pairs in each of the two JND splits; every tenth is a catch pair.
        workers: number of processes, which does not change the result.
        autoencoders: number of autoencoders trained for the cnn and mix splits.
        autoencoder_steps: Adam steps per autoencoder.

    Returns:
        The opened splits, in BAPPS's order. A split is made again if its settings, seed, source files or versions of
        libraries differ from those on its card.

    Raises:
        UserError: if a number is too small, or a worker was killed.
    """
    _check({"seed": seed}, 0)
    _check({"train": train, "val": val, "jnd": jnd, "workers": workers, "autoencoder_steps": autoencoder_steps}, 1)
    _check({"autoencoders": autoencoders}, 2)
    sources = _sources(seed, train, val, jnd, autoencoders, autoencoder_steps)
    missing = _missing(root, sources)
    if missing:
        log.info("mini: making %d of %d splits in %s, with simulated judgments", len(missing), len(SPLITS), root)
        with map_over_processes(workers, str(root)) as run:
            networks = []
            if any(split.name in NEED_AUTOENCODERS for split in missing):
                jobs = [(seed, index, autoencoder_steps) for index in range(autoencoders)]
                networks = list(Progress(run(_train, jobs), "autoencoders", len(jobs), unit="network"))
            _make_splits(root, {split: sources[split] for split in missing}, networks, run)
    log.info("mini: %d splits in %s, %d made now. %s", len(SPLITS), root, len(missing), NOTE)
    return [open_split(root / str(split)) for split in SPLITS]


def is_complete(
    root: Path, *, seed: int, train: int, val: int, jnd: int, autoencoders: int, autoencoder_steps: int
) -> bool:
    """Whether `build_mini` has nothing to make."""
    return not _missing(root, _sources(seed, train, val, jnd, autoencoders, autoencoder_steps))


def _sources(
    seed: int, train: int, val: int, jnd: int, autoencoders: int, autoencoder_steps: int
) -> dict[Split, dict[str, Any]]:
    """The source of each split, as on its card."""
    counts = {"train": train, "val": val, "jnd": jnd}
    sources = {}
    for split in SPLITS:
        settings = {"seed": seed, "examples": counts[_group(split)]}
        if split.name in NEED_AUTOENCODERS:
            settings |= {"autoencoders": autoencoders, "autoencoder_steps": autoencoder_steps}
        sources[split] = {**settings, "generator": _generator_digest(), "libraries": _library_versions()}
    return sources


def _missing(root: Path, sources: dict[Split, dict[str, Any]]) -> list[Split]:
    return [split for split in SPLITS if (read_card(root / str(split)) or {}).get("source") != sources[split]]


def _check(numbers: dict[str, int], least: int) -> None:
    for name, number in numbers.items():
        if number < least:
            raise UserError(f"{name}={number} for the mini dataset: expected at least {least}")


def _group(split: Split) -> str:
    return "jnd" if split.kind == "jnd" else split.phase


def _train(job: tuple[int, int, int]) -> bytes:
    seed, index, steps = job
    # Pickled here, so that torch sends no open files between processes.
    return pickle.dumps(train_autoencoder(make_generator(seed, "autoencoder", index), steps))


def _make_splits(root: Path, sources: dict[Split, dict[str, Any]], networks: list[bytes], run: Callable) -> None:
    """Make the chunks of all splits, and write each split as soon as it is complete."""
    chunks = []
    for split, source in sources.items():
        needed = networks if split.name in NEED_AUTOENCODERS else []
        for start in range(0, source["examples"], CHUNK):
            indices = range(start, min(start + CHUNK, source["examples"]))
            chunks.append(Chunk(split, source["seed"], indices, needed))
    made = run(_make_chunk, chunks)
    with Progress(total=sum(len(chunk.indices) for chunk in chunks), desc="mini", unit="example") as bar:
        for split, source in sources.items():
            bar.set_postfix_str(str(split))
            images, distances = [], []
            for chunk in chunks:
                if chunk.split == split:
                    chunk_images, chunk_distances = next(made)
                    images.append(chunk_images)
                    distances.append(chunk_distances)
                    bar.update(len(chunk.indices))
            _write(root / str(split), split, source, np.concatenate(images), np.concatenate(distances))


def _make_chunk(chunk: Chunk) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 2 or 3, 64, 64, 3), and the observers' distances between the first and the others (N, 1 or 2)."""
    networks = [pickle.loads(network) for network in chunk.autoencoders]
    images = np.stack([np.stack(make_example(chunk.split, chunk.seed, index, networks)) for index in chunk.indices])
    distances = [perceptual_distance(images[:, 0], images[:, other]) for other in range(1, images.shape[1])]
    return images, np.stack(distances, axis=1)


def _write(path: Path, split: Split, source: dict[str, Any], images: np.ndarray, distances: np.ndarray) -> None:
    kind, phase, name = split
    card: dict[str, Any] = {
        "kind": kind,
        "phase": phase,
        "split": name,
        "dataset": "mini",
        "resize": "none (made at 64x64)",
        "observers": "simulated",
        "note": NOTE,
        "votes": VOTES[_group(split)],
        "source": source,
        "machine": _machine(),
        "repeatable": REPEATABLE,
    }
    if kind == "jnd":
        probability = same_probability(distances[:, 0])
        catch = [index for index in range(len(images)) if is_catch(index)]
        card["catch_pairs"] = {"count": len(catch), "indices": catch, "what": "identical pairs"}
    else:
        probability = choose_probability(distances[:, 0], distances[:, 1])
    arrays = {field: images[:, place] for place, field in enumerate(IMAGE_FIELDS[kind])}
    rng = make_generator(source["seed"], f"votes {split}")
    arrays[VOTE_FIELD[kind]] = vote(probability, card["votes"], rng)
    write_split(path, arrays, card)


@cache
def _generator_digest() -> str:
    """SHA-256 of the source files that make the examples and their judgments."""
    sha = hashlib.sha256()
    for package in (Path(distortions.__file__).parent, Path(__file__).parent):
        for file in sorted(package.glob("*.py")):
            if file.name == "dataset.py":  # only settings and folders
                continue
            sha.update(f"{package.name}/{file.name}\n".encode())
            sha.update(file.read_bytes())
    return sha.hexdigest()


def _library_versions() -> dict[str, str | None]:
    versions = {library: installed_version(library) for library in LIBRARIES}
    return {**versions, "opencv": cv2.__version__}


def _machine() -> dict[str, str]:
    """The description of this machine, for the card."""
    return {
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "python": platform.python_version(),
    }
