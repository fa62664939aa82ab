"""Pairs of images to compare: of two folders, by name or in order, or of a CSV file."""

import csv
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lpips_repro.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")  # formats that `lpips_repro.images` reads
SHOWN = 3  # largest number of names in a message


@dataclass(frozen=True)
class Pair:
    """A reference image, and the image that is compared with it."""

    ref: Path
    image: Path


def files_of(pairs: Iterable[Pair]) -> Iterator[Path]:
    """Return the files of all pairs."""
    return itertools.chain.from_iterable((pair.ref, pair.image) for pair in pairs)


def images_in(folder: Path, recursive: bool = False) -> list[Path]:
    """Return the image files of a folder, sorted by name. Hidden files and files of other formats are skipped.

    Args:
        folder: folder to search.
        recursive: whether to include subfolders.

    Raises:
        UserError: if it is not a folder, has no image, or a subfolder cannot be read.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: {'not a folder' if folder.exists() else 'no such folder'}")
    found = sorted(path for path in _visible_files(folder, recursive) if path.suffix.lower() in SUFFIXES)
    if not found:
        deeper = "" if recursive else "; --recursive looks into its folders"
        raise UserError(f"{folder}: no image ({', '.join(SUFFIXES)}){deeper}")
    return found


def pairs_by_name(ref_dir: Path, image_dir: Path, recursive: bool = False) -> list[Pair]:
    """Pair the images of two folders that have the same name; the suffix may differ if the name remains unique.

    Raises:
        UserError: if an image has no partner, or two images of a folder have the same name.
    """
    refs, images = ({p.relative_to(d): p for p in images_in(d, recursive)} for d in (ref_dir, image_dir))
    pairs = {refs[name]: Pair(refs[name], images[name]) for name in refs if name in images}
    refs_left, images_left = (
        _without_suffix({name: path for name, path in found.items() if name not in other})
        for found, other in ((refs, images), (images, refs))
    )
    pairs |= {refs_left[name]: Pair(refs_left[name], images_left[name]) for name in refs_left if name in images_left}
    strays = [refs_left[name] for name in refs_left if name not in images_left]
    strays += [images_left[name] for name in images_left if name not in refs_left]
    if strays:
        raise UserError(
            f"{len(strays)} of {len(refs) + len(images)} images have none of the same name in the other folder:"
            f" {_listed(strays)}: move them elsewhere, or pair the sorted files with --match order"
        )
    return [pairs[path] for path in refs.values()]


def pairs_in_order(ref_dir: Path, image_dir: Path, recursive: bool = False) -> list[Pair]:
    """Pair the images of two folders in the order of their names: the first with the first, and so on.

    Raises:
        UserError: if the folders have different numbers of images.
    """
    refs, images = images_in(ref_dir, recursive), images_in(image_dir, recursive)
    if len(refs) != len(images):
        raise UserError(
            f"{ref_dir} has {len(refs)} images, {image_dir} has {len(images)}: expected the same number in both"
        )
    return [Pair(ref, image) for ref, image in zip(refs, images, strict=True)]


def pairs_in_csv(file: Path) -> list[Pair]:
    """Return the pairs of a CSV file with the columns `ref` and `image`.

    Paths are relative to the folder of the file, or to the current folder if the file is a pipe.

    Raises:
        UserError: if the file cannot be read, a column is missing, or a line is incomplete.
    """
    folder = Path() if file.is_fifo() else file.parent
    try:
        with open(file, newline="", encoding="utf-8-sig", opener=_open_at_once) as lines:
            reader = csv.DictReader(lines, skipinitialspace=True, strict=True)
            columns = [*(reader.fieldnames or [])]
            if columns.count("ref") != 1 or columns.count("image") != 1:
                first = f"{','.join(columns)[:80]!r}" if columns else "missing"
                raise UserError(f"{file}: the first line is {first}: expected ref,image")
            rows = [(reader.line_num, row["ref"], row["image"], row.get(None)) for row in reader]
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file}: not a CSV file of UTF-8 text: {error}") from error
    for line, ref, image, more in rows:
        if not ref or not image:
            raise UserError(f"{file}, line {line}: no {'image' if ref else 'ref'}: expected two paths")
        if more:
            raise UserError(f"{file}, line {line}: more values than columns: put quotes around a path with a comma")
    if not rows:
        raise UserError(f"{file}: no pairs")
    return [Pair(folder / ref, folder / image) for _, ref, image, _ in rows]


def _open_at_once(path: str, flags: int) -> int:
    """Open a file as `open` does, but a FIFO without waiting for a writer: it is empty if there is none."""
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    os.set_blocking(descriptor, True)
    return descriptor


def _without_suffix(paths: dict[Path, Path]) -> dict[Path, Path]:
    """Paths by their name without the suffix; UserError if two have the same name."""
    found: dict[Path, Path] = {}
    for name, path in paths.items():
        other = found.setdefault(name.with_suffix(""), path)
        if other != path:
            raise UserError(f"{path}: {other.name} has the same name: move one of them elsewhere")
    return found


def _listed(paths: Sequence[Path]) -> str:
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    return ", ".join(map(str, paths[:SHOWN])) + more


def _visible_files(folder: Path, recursive: bool) -> Iterator[Path]:
    """The files of a folder, and of its subfolders if `recursive`, except hidden ones and links to folders."""

    def refuse(error: OSError) -> None:
        raise UserError(f"{error.filename}: {error.strerror}") from error

    for where, folders, names in os.walk(folder, onerror=refuse):
        yield from (Path(where, name) for name in names if not name.startswith("."))
        folders[:] = [name for name in folders if recursive and not name.startswith(".")]
