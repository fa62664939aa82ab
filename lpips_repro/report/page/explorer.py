"""The examples of the page: what their files hold, and what the explorer has to know about them."""

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
from lpips_repro.report.page.chosen import RULE, Chosen, choose
from lpips_repro.report.page.examples import Examples, as_text
from lpips_repro.report.page.maps import Maps, maps_of, name_of
from lpips_repro.report.page.sprites import (
    Sheet,
    estimated_size,
    numbers_of,
    triplet_sheets,
    write_sheets,
)
from lpips_repro.report.stored import FIRST

MANY = 5000  # examples, above which not all have images by default
FOLDER = "images"  # of the files with images
MEGABYTE = 1e6


@dataclass(frozen=True)
class Explorer:
    """The explorer of a page.

    Attributes:
        examples: with their votes and distances; images: which of them have images.
        sheets, maps: the files with images and with maps.
        chosen: the indices of both; named: examples that the settings name.
        experiments: the folder of training runs.
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
        """How many examples have images."""
        return sum(map(len, self.chosen.images.values()))

    @property
    def has_some_images(self) -> bool:
        """Whether some examples have images, and others have none."""
        return 0 < self.with_images < len(self.examples)

    @property
    def said(self) -> str:
        """Which examples have images, in words."""
        if not self.with_images:
            return "The page was made without images."
        if self.with_images == len(self.examples):
            return f"All {len(self.examples):,} examples have images."
        return f"{self.with_images:,} of {len(self.examples):,} examples have images. {RULE}"

    def statement(self) -> str:
        """How many images there will be, and about how large they are."""
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
        """Write the files with images that do not exist yet."""
        write_sheets(folder / FOLDER, [sheet for own in self.sheets.values() for sheet in own], "images")
        if self.maps:
            write_sheets(folder / FOLDER, [sheet for own in self.maps.sheets.values() for sheet in own], "maps")

    def settings(self, folder: Path) -> dict[str, Any]:
        """What the page's program has to know, after `write`."""
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
        """The scripts with numbers, by name: what each hands over."""
        found: dict[str, Any] = {"votes": {"judge": as_text(self.examples.votes)}}
        for place in range(len(self.examples.methods)):
            d0, d1 = self.examples.distances(place)
            found[f"method-{place}"] = {"d0": as_text(d0), "d1": as_text(d1)}
        return found


def make_explorer(examples: Examples, cfg: PageConfig, experiments: Path, download: bool) -> Explorer:
    """The explorer that the settings ask for; maps are of the examples that methods and judges disagree about.

    Args:
        experiments: the folder of training runs; download: whether weights may be downloaded for the maps.
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
    """What `lpips-repro map` takes for the network of a row, of its first seed if it is the mean of several."""
    if not row.run:
        return shlex.join(("-m", name_of(row)))
    weights = experiments / row.run.split()[FIRST] / "weights.pth"
    return shlex.join(("-m", f"{row.method}-v{row.version}", "--weights", str(weights)))


def _where(sheets: Sequence[Sheet]) -> dict[str, Any] | None:
    """In which file, and where in it, an example is."""
    if not sheets:
        return None
    layout = dataclasses.asdict(sheets[0].layout)
    indices = np.concatenate([sheet.indices for sheet in sheets])
    is_all = np.array_equal(indices, np.arange(len(indices)))
    ids = None if is_all else as_text(indices, "<i4")
    return {"across": layout["across"], "each": layout["each"], "ids": ids, "files": [sheet.name for sheet in sheets]}


def _paths(split: PackedSplit) -> dict[str, Any]:
    """The names of the images' files, if they have any, and the folder that they are in, if it is on this computer."""
    files = image_files(split)
    if not files:
        return {"paths": None, "root": None}
    source = split.card.get("source")
    root = source.get("folder") if isinstance(source, dict) else None
    return {"paths": {name: _short(names) for name, names in files.items()}, "root": root}


def _short(names: Sequence[str]) -> str | list[str]:
    """Names of files; of those that are numbered from 0, only the pattern."""
    pattern = names[0].replace("000000", "*") if names else ""
    numbered = pattern.count("*") == 1 and list(names) == [
        pattern.replace("*", f"{index:06d}") for index in range(len(names))
    ]
    return pattern if numbered else list(names)


def as_script(name: str, content: Any) -> str:
    """A script that hands content over to the page."""
    return f"lpipsReport.receive({_json(name)}, {_json(content)});\n"


def _json(content: Any) -> str:
    """JSON that is safe in a script, whatever text it has; numbers that are not finite are those of JavaScript."""
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":"), default=str)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
