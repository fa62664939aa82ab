"""Triplets on which two methods disagree (paper, Figures 6 and 11)."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.errors import UserError
from lpips_repro.evaluation.disagreement import NEITHER, Disagreement
from lpips_repro.report.figures.style import PAGE, SIMULATED, Picture, in_style

SHOWN = 6  # triplets per heading
NARROWEST = 2.0  # smallest width of a triplet in inches
TEXT, BELOW = 0.85, 0.45  # height of the text of a triplet, and of its part below the images, in inches
TOP, EDGE = 0.55, 0.06  # margins above the first row, and left and right, in inches
BETWEEN = 0.3  # space between two triplets, as a share of the width of an image
GAP = 0.06  # space between two images, as a share of their width
SIZE = 6.0  # font size in points
HEADING: dict[str, Any] = {"fontsize": 7.5, "weight": "bold"}
BELOW_IMAGES: dict[str, Any] = {"textcoords": "offset points", "va": "top", "fontsize": SIZE, "annotation_clip": False}


@in_style
def disagreement_grid(
    found: Sequence[Disagreement],
    splits: Mapping[str, PackedSplit],
    shown: int = SHOWN,
    width: float = PAGE,
) -> Picture:
    """Return a figure of triplets that two methods disagree on, grouped by the method that more judges agree with.

    Images are not smoothed. Below each image is the share of judges who chose it, then the verdict of each method.

    Args:
        found: result of `lpips_repro.evaluation.disagreements`.
        splits: packed splits of the triplets by name: `{evaluation.split.name: evaluation.split}`.
        shown: largest number of triplets per heading.
        width: width of the figure in inches.

    Raises:
        UserError: if there is no triplet.
    """
    if not found:
        raise UserError("the two methods disagree on no triplet")
    a, b = (answer.label for answer in found[0].answers)
    headings = {a: f"{a} agrees more with the votes", b: f"{b} agrees more with the votes"}
    headings[NEITHER] = "both are against the votes"
    sections = {text: [one for one in found if one.better == who][:shown] for who, text in headings.items()}
    sections = {text: triplets for text, triplets in sections.items() if triplets}
    across = max(1, int(width / NARROWEST))
    rows = [(text, part) for text, own in sections.items() for part in _rows(own, across)]
    side = width / across / (3 + 2 * GAP + BETWEEN)  # width of an image in inches
    height = len(rows) * (side + TEXT) + TOP
    figure = Picture(figsize=(width, height))
    figure.set_layout_engine("none")  # all lengths are known
    edges = {"left": EDGE / width, "right": 1 - EDGE / width, "bottom": BELOW / height, "top": 1 - TOP / height}
    grid = figure.subplots(
        len(rows), across, squeeze=False, gridspec_kw={**edges, "hspace": TEXT / side, "wspace": BETWEEN / 3}
    )
    last_heading = ""
    for panels, (text, triplets) in zip(grid, rows, strict=True):
        for panel in panels[len(triplets) :]:
            panel.remove()
        for panel, one in zip(panels, triplets, strict=False):
            _draw(panel, one, splits[one.split])
        if text != last_heading:
            heading = textwrap.fill(text, int(width / 0.085))
            panels[0].annotate(heading, (0, 1), (0, 10), "axes fraction", "offset points", va="bottom", **HEADING)
        last_heading = text
    if found[0].observers == "simulated":
        figure.text(0.5, 1 - 0.12 / height, SIMULATED, ha="center", va="center")
    return figure


def _rows(triplets: Sequence[Disagreement], across: int) -> list[Sequence[Disagreement]]:
    return [triplets[start : start + across] for start in range(0, len(triplets), across)]


def _draw(panel: Axes, one: Disagreement, split: PackedSplit) -> None:
    p0, ref, p1 = (split.arrays[name][one.index] for name in ("p0", "ref", "p1"))
    gap = max(1, round(GAP * ref.shape[1]))
    between = np.full((len(ref), gap, 3), 255, np.uint8)
    panel.imshow(np.concatenate([p0, between, ref, between, p1], axis=1), interpolation="nearest")
    panel.set_axis_off()
    panel.set_anchor("NW")
    panel.set_title(f"{one.split.rpartition('/')[2]} {one.index:06d}", loc="right", fontsize=SIZE, pad=1.5)
    side = ref.shape[1] + gap
    texts = (f"p0: {100 * (1 - one.judge):.0f} %", "reference", f"p1: {100 * one.judge:.0f} %")
    for place, text in enumerate(texts):
        middle = (place * side + ref.shape[1] / 2, len(ref))
        panel.annotate(text, middle, (0, -2), ha="center", **BELOW_IMAGES)
    answers = "\n".join(f"{answer.label}: {answer.verdict}" for answer in one.answers)
    panel.annotate(answers, (0, len(ref)), (0, -10), ha="left", **BELOW_IMAGES)
