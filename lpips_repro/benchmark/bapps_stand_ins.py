"""Archives of random images in BAPPS's layout, of any size, for benchmarks and tests."""

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
    """Return a PNG of random squares, `detail` x `detail` in a patch of 64 x 64 pixels.

    Args:
        size: 64; or 256, which repeats the pixels as the images of BAPPS do.
    """
    patch = rng.integers(0, 256, (detail, detail, 3), dtype=np.uint8).repeat(64 // detail, 0).repeat(64 // detail, 1)
    if size == 256:
        patch = patch[STORED][:, STORED]
    file = io.BytesIO()
    Image.fromarray(patch).save(file, "png", compress_level=1)
    return file.getvalue()


def npy(value: float) -> bytes:
    """Return a .npy file that holds one vote."""
    file = io.BytesIO()
    np.save(file, np.array([value], np.float32))
    return file.getvalue()


def members(kind: str, phase: str, counts: dict, seed: int, images: list[bytes] | None = None, **form):
    """Yield the name (in the BAPPS layout) and the content of each file of an archive, in random order.

    Args:
        kind, phase: of the archive, such as "2afc" and "val".
        counts: number of examples by (kind, phase, split).
        images: PNGs to choose from; by default every image is a new one.
        form: arguments of `png`.
    """
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
    """Write a tar.gz of files, and return its path. The prefix is removed from their names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_tar(file, files, prefix)
    return path


def write_tar(file: BinaryIO, files: Iterable[tuple[str, bytes]], prefix: str = "") -> None:
    """Write a tar.gz to an open file, as `write_archive` does."""
    with (
        gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w|") as tar,
    ):
        for name, content in files:
            info = tarfile.TarInfo(name.removeprefix(prefix))
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def write_archives(folder: Path, counts: dict, phases: tuple[str, ...] = ("val",), seed: int = 0, **form) -> None:
    """Write the archives of some phases to a folder; the arguments are those of `members`."""
    for (kind, phase), archive in ARCHIVES.items():
        if phase in phases:
            write_archive(folder / archive.name, members(kind, phase, counts, seed, **form), archive.prefix)
