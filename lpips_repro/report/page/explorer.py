"""The explorer of examples: its files, and the settings for the JavaScript of the page."""

import dataclasses
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lpips_repro.config import Images, PageConfig
from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.datasets.packing.file_names import image_files
from lpips_repro.evaluation.tables.table import Row
from lpips_repro.report.page.chosen_examples import RULE, Chosen, choose
from lpips_repro.report.page.examples import Examples, as_text
from lpips_repro.report.page.maps import Maps, maps_of, name_of
from lpips_repro.report.page.sprites import (
    Sheet,
    estimated_size,
    numbers_of,
    triplet_sheets,
    write_sheets,
)
from lpips_repro.report.stored_distances import FIRST

MANY = 5000  # with more examples, only selected ones have images by default
FOLDER = "images"  # folder of the files with images
MEGABYTE = 1e6


@dataclass(frozen=True)
class Explorer:
    """The explorer of a page.

    Attributes:
        examples: votes and distances.
        images: whether all, selected or no examples have images.
        chosen: indices of the examples with images and with maps.
        sheets, maps: files with images and with maps.
        named: examples that the settings name.
        experiments: folder of training runs.
    """

    examples: Examples
    images: Images
    chosen: Chosen
    sheets: Mapping[str, Sequence[Sheet]] = field(repr=False)
    maps: Maps | None = field(repr=False)
    named: Sequence[str]
    experiments: Path

    @property
    def files(self) -> list[Sheet]:
        """All files with images."""
        of_maps = self.maps.sheets if self.maps else {}
        return [sheet for by_split in (self.sheets, of_maps) for sheets in by_split.values() for sheet in sheets]

    @property
    def with_images(self) -> int:
        """The number of examples with images."""
        return sum(map(len, self.chosen.images.values()))

    @property
    def has_some_images(self) -> bool:
        """Whether some examples have images and others do not."""
        return 0 < self.with_images < len(self.examples)

    @property
    def about_images(self) -> str:
        """A text for the page on the examples that have images."""
        if not self.with_images:
            return "The page was made without images."
        if self.with_images == len(self.examples):
            return f"All {len(self.examples):,} examples have images."
        return f"{self.with_images:,} of {len(self.examples):,} examples have images. {RULE}"

    def statement(self) -> str:
        """Return a line with the number of images and their estimated size."""
        size = sum(
            estimated_size(split, self.chosen.images[split.name])
            for split in self.examples.splits
            if split.name in self.chosen.images
        )
        return (
            f"images: {self.images.value}: {self.with_images:,} of {len(self.examples):,} examples, about"
            f" {size / MEGABYTE:,.1f} MB"
        )

    def write(self, folder: Path) -> None:
        """Write the files with images and maps that do not exist yet."""
        write_sheets(folder / FOLDER, [sheet for own in self.sheets.values() for sheet in own], "images")
        if self.maps:
            write_sheets(folder / FOLDER, [sheet for own in self.maps.sheets.values() for sheet in own], "maps")

    def settings(self, folder: Path) -> dict[str, Any]:
        """Return the settings for the JavaScript of the page; to be called after `write`."""
        splits, start = [], 0
        for split in self.examples.splits:
            entry = {"name": split.card["split"], "start": start, "count": len(split)}
            entry |= {"height": split.size[0], "width": split.size[1], **_paths(split)}
            entry["images"] = _where(self.sheets.get(split.name, ()))
            if self.maps and (sheets := self.maps.sheets[split.name]):
                largest = [number for sheet in sheets for number in numbers_of(folder / FOLDER, sheet)]
                entry["maps"] = {**(_where(sheets) or {}), "largest": largest}
            splits.append(entry)
            start += len(split)
        methods = [{"label": row.label, "shown": row.shown, "group": row.group} for row, _ in self.examples.methods]
        return {
            "splits": splits,
            "methods": methods,
            "mapsShown": self.maps.row.shown if self.maps else "",
            "mapsArguments": _arguments(self.maps.row, self.experiments) if self.maps else "",
            "named": list(self.named),
            "folder": FOLDER,
        }

    def numbers(self) -> dict[str, Any]:
        """Return the contents of the scripts with numbers, by name."""
        found: dict[str, Any] = {"votes": {"judge": as_text(self.examples.votes)}}
        for place in range(len(self.examples.methods)):
            d0, d1 = self.examples.distances(place)
            found[f"method-{place}"] = {"d0": as_text(d0), "d1": as_text(d1)}
        return found


def make_explorer(examples: Examples, cfg: PageConfig, experiments: Path, download: bool) -> Explorer:
    """Return the explorer for some settings.

    Args:
        examples: votes and distances.
        cfg: settings of the page.
        experiments: folder of training runs.
        download: whether to download missing weights for the maps.

    Raises:
        UserError: if an example that the settings name does not exist.
    """
    images = cfg.images or (Images.selected if len(examples) > MANY else Images.all)
    chosen = choose(examples, images, cfg.selected, cfg.maps, cfg.examples)
    sheets = {
        split.name: triplet_sheets(split, chosen.images[split.name])
        for split in examples.splits
        if split.name in chosen.images
    }
    maps = maps_of(examples, chosen.maps, experiments, download)
    return Explorer(examples, images, chosen, sheets, maps, cfg.examples, experiments)


def _arguments(row: Row, experiments: Path) -> str:
    """The arguments of `lpips-repro map` for the network of a row, or for its first seed."""
    if not row.run:
        return shlex.join(("-m", name_of(row)))
    weights = experiments / row.run.split()[FIRST] / "weights.pth"
    return shlex.join(("-m", f"{row.method}-v{row.version}", "--weights", str(weights)))


def _where(sheets: Sequence[Sheet]) -> dict[str, Any] | None:
    """The files of some sheets, and the positions of examples in them."""
    if not sheets:
        return None
    layout = dataclasses.asdict(sheets[0].layout)
    indices = np.concatenate([sheet.indices for sheet in sheets])
    is_all = np.array_equal(indices, np.arange(len(indices)))
    ids = None if is_all else as_text(indices, "<i4")
    return {"across": layout["across"], "each": layout["each"], "ids": ids, "files": [sheet.name for sheet in sheets]}


def _paths(split: PackedSplit) -> dict[str, Any]:
    """The names of the image files and their folder, if the images of the split are from files."""
    files = image_files(split)
    if not files:
        return {"paths": None, "root": None}
    source = split.card.get("source")
    root = source.get("folder") if isinstance(source, dict) else None
    return {"paths": {name: _short(names) for name, names in files.items()}, "root": root}


def _short(names: Sequence[str]) -> str | list[str]:
    """A list of file names, or only their pattern if they are numbered from 0."""
    pattern = names[0].replace("000000", "*") if names else ""
    numbered = pattern.count("*") == 1 and list(names) == [
        pattern.replace("*", f"{index:06d}") for index in range(len(names))
    ]
    return pattern if numbered else list(names)


def as_script(name: str, content: Any) -> str:
    """Return a script that passes content to the page."""
    return f"lpipsReport.receive({_json(name)}, {_json(content)});\n"


def _json(content: Any) -> str:
    """JSON that is safe in a script with any text; numbers that are not finite are written as in JavaScript."""
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":"), default=str)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
