"""A picture of triplets under headings, with the votes and what two methods say (`make disagreements`)."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.evaluation.disagreement import Answer, Disagreement
from lpips_repro.evaluation.protocols.twoafc import TWOAFC

COLUMNS = 3
GAP, LINE = 8, 14  # pixels between triplets, and for a line of text
LINES = 4  # of text for a triplet
SIDE = 128  # pixels that an image has at least, if it takes a whole number of pixels for each of its own


def triplet_sheet(
    title: str, sections: Mapping[str, Sequence[Disagreement]], splits: Mapping[str, PackedSplit]
) -> Image.Image:
    """Triplets enlarged without smoothing.

    Args:
        title: the first line; sections: triplets by heading; splits: those that they are of, by name.
    """
    cells = {heading: [_cell(one, splits[one.split]) for one in found] for heading, found in sections.items()}
    every = [cell for found in cells.values() for cell in found]
    width = max((cell.width for cell in every), default=6 * SIDE) + GAP
    height = max((cell.height for cell in every), default=0) + GAP
    rows = {heading: -(-len(found) // COLUMNS) for heading, found in cells.items()}
    lines = 1 + 2 * len(cells)
    sheet = Image.new("RGB", (COLUMNS * width + GAP, lines * LINE + sum(rows.values()) * height + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, 0), title, fill="black")
    top = LINE
    for heading, found in cells.items():
        draw.text((GAP, top + LINE // 2), f"{heading}{'' if found else ': none'}", fill="black")
        top += 2 * LINE
        for place, cell in enumerate(found):
            sheet.paste(cell, (GAP + place % COLUMNS * width, top + place // COLUMNS * height))
        top += rows[heading] * height
    return sheet


def _cell(one: Disagreement, split: PackedSplit) -> Image.Image:
    """The images of a triplet side by side, and below them the file, the votes and both methods."""
    strip = Image.fromarray(np.concatenate([split.arrays[name][one.index] for name in TWOAFC.images], axis=1))
    zoom = max(1, -(-SIDE // split.size[0]))
    strip = strip.resize((strip.width * zoom, strip.height * zoom), Image.Resampling.NEAREST)
    cell = Image.new("RGB", (max(strip.width, 3 * SIDE), strip.height + LINES * LINE), "white")
    cell.paste(strip)
    texts = (
        f"{' | '.join(TWOAFC.images)}   {one.files.get('ref') or f'{one.split} {one.index:06d}'}",
        f"votes for p1: {100 * one.judge:.0f} %   strength {one.strength:.3f}",
        *map(_said, one.answers),
    )
    draw = ImageDraw.Draw(cell)
    for line, text in enumerate(texts):
        draw.text((0, strip.height + line * LINE), text, fill="black")
    return cell


def _said(answer: Answer) -> str:
    return f"{answer.label}: {answer.verdict}   d0 {answer.d0:.4g}   d1 {answer.d1:.4g}   credit {answer.credit:.2f}"
