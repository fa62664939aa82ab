"""Archives in BAPPS's layout, of any size, for measuring and for tests."""

import gzip
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from lpips_repro.datasets.bapps.published import ARCHIVES

IMAGES = {"2afc": ("ref", "p0", "p1"), "jnd": ("p0", "p1")}
VOTES = {"2afc": "judge", "jnd": "same"}
STORED = np.array([round(i * 63 / 255) for i in range(256)])


def png(rng: np.random.Generator, size: int = 256, detail: int = 8) -> bytes:
    """A PNG of a random patch of `detail` x `detail` squares, in the stored form where it is larger than 64."""
    patch = rng.integers(0, 256, (detail, detail, 3), dtype=np.uint8).repeat(64 // detail, 0).repeat(64 // detail, 1)
    if size == 256:
        patch = patch[STORED][:, STORED]
    file = io.BytesIO()
    Image.fromarray(patch).save(file, "png", compress_level=1)
    return file.getvalue()


def npy(value: float) -> bytes:
    """A file of one vote."""
    file = io.BytesIO()
    np.save(file, np.array([value], np.float32))
    return file.getvalue()


def members(kind: str, phase: str, counts: dict, seed: int, images: list[bytes] | None = None, **form):
    """Names (in the BAPPS layout) and contents of the files of an archive, in random order."""
    rng = np.random.default_rng(seed)
    for split in [key for key in counts if key[:2] == (kind, phase)]:
        votes = rng.integers(0, 6, counts[split]) / 5
        places = [(field, index) for field in (*IMAGES[kind], VOTES[kind]) for index in range(counts[split])]
        for place in rng.permutation(len(places)):
            field, index = places[place]
            if field == VOTES[kind]:
                yield f"{'/'.join(split)}/{field}/{index:06d}.npy", npy(votes[index])
            else:
                content = images[rng.integers(len(images))] if images else png(rng, **form)
                yield f"{'/'.join(split)}/{field}/{index:06d}.png", content


def write_archive(path: Path, files: Iterable[tuple[str, bytes]], prefix: str = "") -> Path:
    """A tar.gz of files, their names without the prefix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_tar(file, files, prefix)
    return path


def write_tar(file: BinaryIO, files: Iterable[tuple[str, bytes]], prefix: str = "") -> None:
    """The same into an open file."""
    with (
        gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w|") as tar,
    ):
        for name, content in files:
            info = tarfile.TarInfo(name.removeprefix(prefix))
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def write_archives(folder: Path, counts: dict, phases: tuple[str, ...] = ("val",), seed: int = 0, **form) -> None:
    """The archives of these phases."""
    for (kind, phase), archive in ARCHIVES.items():
        if phase in phases:
            write_archive(folder / archive.name, members(kind, phase, counts, seed, **form), archive.prefix)
