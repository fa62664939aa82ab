"""A picture of triplets in sections, with the votes and the verdicts of two methods (`make disagreements`)."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.evaluation.disagreement import Answer, Disagreement
from lpips_repro.evaluation.protocols.twoafc import TWOAFC

COLUMNS = 3
GAP, LINE = 8, 14  # pixels: space between triplets, height of a line of text
LINES = 4  # lines of text per triplet
SIDE = 128  # smallest height in pixels after scaling by a whole number


def triplet_sheet(
    title: str, sections: Mapping[str, Sequence[Disagreement]], splits: Mapping[str, PackedSplit]
) -> Image.Image:
    """Return a picture of triplets, enlarged without smoothing.

    Args:
        title: first line of the picture.
        sections: triplets by heading.
        splits: splits of the triplets by name.
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
    """The images of a triplet side by side, with the file, the votes and both verdicts below them."""
    strip = Image.fromarray(np.concatenate([split.arrays[name][one.index] for name in TWOAFC.images], axis=1))
    zoom = max(1, -(-SIDE // split.size[0]))
    strip = strip.resize((strip.width * zoom, strip.height * zoom), Image.Resampling.NEAREST)
    cell = Image.new("RGB", (max(strip.width, 3 * SIDE), strip.height + LINES * LINE), "white")
    cell.paste(strip)
    texts = (
        f"{' | '.join(TWOAFC.images)}   {one.files.get('ref') or f'{one.split} {one.index:06d}'}",
        f"votes for p1: {100 * one.judge:.0f} %   strength {one.strength:.3f}",
        *map(_answer, one.answers),
    )
    draw = ImageDraw.Draw(cell)
    for line, text in enumerate(texts):
        draw.text((0, strip.height + line * LINE), text, fill="black")
    return cell


def _answer(answer: Answer) -> str:
    return f"{answer.label}: {answer.verdict}   d0 {answer.d0:.4g}   d1 {answer.d1:.4g}   credit {answer.credit:.2f}"
