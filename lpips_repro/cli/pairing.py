"""Which images are compared: those of two folders, by name or in order, or the lines of a CSV file."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lpips_repro.errors import UserError
from lpips_repro.images import SUFFIXES

SHOWN = 3  # names in a message


@dataclass(frozen=True)
class Pair:
    """A reference image and the image whose distance from it is asked for."""

    ref: Path
    image: Path


def images_in(folder: Path, recursive: bool = False) -> list[Path]:
    """The image files of a folder, sorted by name; hidden files and files of other formats are passed over.

    Raises:
        UserError: if it is no folder, or has no image.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: {'not a folder' if folder.exists() else 'no such folder'}")
    found = sorted(
        path
        for path in (folder.rglob("*") if recursive else folder.iterdir())
        if path.suffix.lower() in SUFFIXES and not _is_hidden(path.relative_to(folder)) and path.is_file()
    )
    if not found:
        deeper = "" if recursive else "; --recursive looks into its folders"
        raise UserError(f"{folder}: no image ({', '.join(SUFFIXES)}){deeper}")
    return found


def pairs_by_name(ref_dir: Path, image_dir: Path, recursive: bool = False) -> list[Pair]:
    """The images of two folders that have the same name, whatever their suffix.

    Raises:
        UserError: for images of one folder that the other does not have, or two of one name.
    """
    refs, images = (_by_name(folder, images_in(folder, recursive)) for folder in (ref_dir, image_dir))
    for folder, strays in (
        (ref_dir, [refs[k] for k in refs if k not in images]),
        (image_dir, [images[k] for k in images if k not in refs]),
    ):
        if strays:
            other = image_dir if folder == ref_dir else ref_dir
            raise UserError(
                f"{_listed(strays)}: no image of the same name in {other}: move it elsewhere, or pair the sorted files"
                " with --match order"
            )
    return [Pair(refs[name], images[name]) for name in refs]


def pairs_in_order(ref_dir: Path, image_dir: Path, recursive: bool = False) -> list[Pair]:
    """The images of two folders in the order of their names: the first of one with the first of the other.

    Raises:
        UserError: if the folders have different numbers of images.
    """
    refs, images = images_in(ref_dir, recursive), images_in(image_dir, recursive)
    if len(refs) != len(images):
        raise UserError(f"{ref_dir}: {len(refs)} images, {image_dir}: {len(images)}: expected as many in both")
    return [Pair(ref, image) for ref, image in zip(refs, images, strict=True)]


def pairs_in_csv(file: Path) -> list[Pair]:
    """The pairs of a CSV file with the columns `ref` and `image`; paths are relative to the folder of the file.

    Raises:
        UserError: if the file cannot be read, a column is missing, or a line is incomplete.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines, skipinitialspace=True, strict=True)
            columns = reader.fieldnames or []
            if missing := [name for name in ("ref", "image") if name not in columns]:
                raise UserError(f"{file}: no column {' or '.join(missing)}: expected the first line ref,image")
            rows = [(reader.line_num, row["ref"], row["image"]) for row in reader]
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file}: not a CSV file of UTF-8 text: {error}") from error
    for line, ref, image in rows:
        if not ref or not image:
            raise UserError(f"{file}, line {line}: no {'image' if ref else 'ref'}: expected two paths")
    if not rows:
        raise UserError(f"{file}: no pairs")
    return [Pair(file.parent / ref, file.parent / image) for _, ref, image in rows]


def _by_name(folder: Path, paths: Sequence[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise UserError(f"{path}: {found[name].name} has the same name: move one of them elsewhere")
        found[name] = path
    return found


def _listed(paths: Sequence[Path]) -> str:
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    return ", ".join(map(str, paths[:SHOWN])) + more


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
