"""The files that the images of a packed split come from."""

from collections.abc import Iterable
from pathlib import Path

from lpips_repro.datasets.packed import IMAGE_FIELDS, PackedSplit
from lpips_repro.datasets.packing.layout import SplitFolder, file_name, read_split
from lpips_repro.errors import UserError

Files = dict[str, list[str]]  # by field, in the order of the examples


def own_names(folder: SplitFolder) -> Files:
    """The files of a split, relative to the dataset's folder; empty if they are numbered from 0 as in BAPPS."""
    fields = IMAGE_FIELDS[folder.kind]
    files = {field: [folder.name_of_image(field, name) for name in folder.names] for field in fields}
    return {} if files == _named(folder.kind, folder.phase, folder.split, _numbers(len(folder.names))) else files


def image_files(split: PackedSplit) -> Files:
    """The files of the images of a packed split, relative to the dataset's folder; empty if they are not known.

    They are not known if the images never were files, as those of mini.
    """
    source, place = split.card.get("source"), (split.card["kind"], split.card["phase"], split.card["split"])
    if files := split.card.get("files"):
        return dict(files)
    if not isinstance(source, dict) or not {"archive", "folder"} & source.keys():
        return {}
    if "archive" in source:
        return _named(*place, _numbers(len(split)))
    try:  # older cards have no `files`
        names = read_split(Path(source["folder"]), *place[:2]).names
    except (UserError, OSError):
        return {}
    return _named(*place, names) if len(names) == len(split) else {}


def _numbers(count: int) -> list[str]:
    return [f"{index:06d}" for index in range(count)]


def _named(kind: str, phase: str, split: str, names: Iterable[str]) -> Files:
    return {field: [file_name(kind, phase, split, field, name) for name in names] for field in IMAGE_FIELDS[kind]}
