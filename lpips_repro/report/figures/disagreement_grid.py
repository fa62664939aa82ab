"""Triplets in which two methods disagree (paper, Figures 6 and 11)."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.errors import UserError
from lpips_repro.evaluation.disagreement import NEITHER, Disagreement
from lpips_repro.report.figures.style import PAGE, Picture, in_style, say_who_judged

SHOWN = 6  # triplets under a heading
NARROWEST = 2.0  # inches, of a triplet
TEXT = 0.62  # inches, for the lines of text of a triplet
GAP = 0.06  # of the side of an image, between two
SIZE = 6.0  # points


@in_style
def disagreement_grid(
    found: Sequence[Disagreement],
    splits: Mapping[str, PackedSplit],
    shown: int = SHOWN,
    width: float = PAGE,
) -> Picture:
    """The triplets that two methods disagree on most, by the method that more judges agree with.

    Images are not smoothed. Below each image is the share of judges who chose it, then what each method says.

    Args:
        found: of `lpips_repro.evaluation.disagreements`, in its order.
        splits: the packed splits that they are of, by name: `{evaluation.split.name: evaluation.split}`.
        shown: how many under each heading; width: in inches.

    Raises:
        UserError: if there is none.
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
    figure = Picture(figsize=(width, len(rows) * (width / across / 3 + TEXT)))
    grid = figure.subplots(len(rows), across, squeeze=False)
    said = ""
    for panels, (text, triplets) in zip(grid, rows, strict=True):
        for panel in panels[len(triplets) :]:
            panel.remove()
        for panel, one in zip(panels, triplets, strict=False):
            _draw(panel, one, splits[one.split])
        if text != said:
            panels[0].annotate(text, (0, 1), (0, 9), "axes fraction", "offset points", fontsize=7.5, weight="bold")
        said = text
    say_who_judged(figure, found[0].observers)
    return figure


def _rows(triplets: Sequence[Disagreement], across: int) -> list[Sequence[Disagreement]]:
    return [triplets[start : start + across] for start in range(0, len(triplets), across)]


def _draw(panel: Axes, one: Disagreement, split: PackedSplit) -> None:
    p0, ref, p1 = (split.arrays[name][one.index] for name in ("p0", "ref", "p1"))
    gap = max(1, round(GAP * ref.shape[1]))
    between = np.full((len(ref), gap, 3), 255, np.uint8)
    panel.imshow(np.concatenate([p0, between, ref, between, p1], axis=1), interpolation="nearest")
    panel.set_axis_off()
    panel.set_title(f"{one.split.rpartition('/')[2]} {one.index:06d}", loc="right", fontsize=SIZE, pad=1.5)
    side = ref.shape[1] + gap
    texts = (f"p0: {100 * (1 - one.judge):.0f} %", "reference", f"p1: {100 * one.judge:.0f} %")
    for place, text in enumerate(texts):
        middle = (place * side + ref.shape[1] / 2, len(ref))
        panel.annotate(text, middle, (0, -2), "data", "offset points", ha="center", va="top", fontsize=SIZE)
    answers = "\n".join(f"{answer.label}: {answer.verdict}" for answer in one.answers)
    panel.annotate(answers, (0, len(ref)), (0, -10), "data", "offset points", ha="left", va="top", fontsize=SIZE)
