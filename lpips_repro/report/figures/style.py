"""What all figures share: their style, the look of each group of methods, and their files."""

import contextlib
import functools
import io
import logging
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib
import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from lpips_repro.evaluation.methods.method import GROUPS

P = ParamSpec("P")

STYLE = Path(__file__).with_name("figures.mplstyle")
COLUMN, PAGE = 3.3, 7.0  # inches: the width of a column and of a page in print
LONG = 24  # characters in a line of a name
SIMULATED = "SIMULATED judgments: of a model, no people"
CHARACTER, LINE = 0.064, 0.15  # inches: of text, about
FORMATS = ("png", "svg", "pdf")
# By group, in colors that can be told apart by the color-blind (Okabe and Ito 2008), and without color by the rest.
HATCHES = ("", "", "////", "....", "\\\\\\\\", "xxxx")
COLORS = ("#999999", "#000000", "#e69f00", "#56b4e9", "#009e73", "#d55e00")
MARKERS = ("s", "X", "^", "v", "o", "D")
# Of lines, one after another; with the markers of the next turn they differ again.
LINES = ("#0072b2", "#d55e00", "#009e73", "#000000", "#cc79a7", "#e69f00", "#56b4e9")
DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))


@dataclass(frozen=True)
class Look:
    """How the methods of a group are drawn."""

    color: str
    hatch: str
    marker: str


LOOKS = {group: Look(*look) for group, look in zip(GROUPS, zip(COLORS, HATCHES, MARKERS, strict=True), strict=True)}
OTHER = Look("#cc79a7", "oo", "P")  # of a group that the paper does not have


class Picture(Figure):
    """A figure that a notebook shows, whatever backend it has."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        with _saving():
            self.savefig(file, format="png", dpi=150)
        return file.getvalue()


def in_style(function: Callable[P, Picture]) -> Callable[P, Picture]:
    """Have a function draw in the style, whatever the user's settings are, which stay as they are."""

    @functools.wraps(function)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Picture:
        with _style():
            return function(*args, **kwargs)

    return styled


def save_figure(figure: Figure, folder: Path, name: str, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write NAME.png, NAME.svg and NAME.pdf; the same figure gives the same bytes."""
    dates: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    files = [folder / f"{name}.{suffix}" for suffix in formats]
    with _saving():
        for suffix, file in zip(formats, files, strict=True):
            figure.savefig(file, format=suffix, metadata=dates.get(suffix))
    return files


def look_of(group: str) -> Look:
    """How a group is drawn."""
    return LOOKS.get(group, OTHER)


def panels(count: int, width: float, narrowest: float, height: float, **shared: Any) -> tuple[Picture, list[Axes]]:
    """A figure with so many panels, as many in a row as fit.

    Args:
        width: of the figure; narrowest: of a panel; height: of a panel, all in inches.
        shared: `sharex` and `sharey` of `Figure.subplots`.
    """
    across = min(count, max(1, int(width / narrowest)))
    down = -(-count // across)
    across = -(-count // down)  # rows as even as they can be
    figure = Picture(figsize=(width, down * height))
    grid = figure.subplots(down, across, squeeze=False, **shared).ravel()
    for unused in grid[count:]:
        unused.remove()
    return figure, list(grid[:count])


def group_patch(group: str) -> Patch:
    """The entry of a group in a legend."""
    look = look_of(group)
    return Patch(**bar_look(look), label=group or "methods")


def bar_look(look: Look) -> dict[str, Any]:
    """The arguments of a bar."""
    return {"facecolor": look.color, "hatch": look.hatch, "edgecolor": "black"}


def legend_below(figure: Picture, handles: Sequence[Any], longest: int) -> None:
    """A legend under all panels, in as many columns as fit, given the length of its longest text in characters."""
    columns = min(len(handles), max(1, int(figure.get_figwidth() / (CHARACTER * longest + 0.5))))
    figure.set_figheight(figure.get_figheight() + LINE * -(-len(handles) // columns))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, columnspacing=1.2)


def title_above(figure: Picture, text: str) -> None:
    """A title over all panels, in as many lines as it takes."""
    lines = textwrap.wrap(text, int(figure.get_figwidth() / CHARACTER))
    figure.set_figheight(figure.get_figheight() + LINE * len(lines))
    figure.suptitle("\n".join(lines))


def say_who_judged(figure: Picture, observers: str) -> None:
    """Say on the figure itself that judgments are simulated, or that it is not known whose they are."""
    said = {"simulated": SIMULATED, "unknown": "Judgments of unknown observers"}
    if observers in said:
        title_above(figure, said[observers])


@contextlib.contextmanager
def _saving() -> Iterator[None]:
    """The style, without the hundred lines on the glyphs of a PDF where a program logs what is of level INFO."""
    log = logging.getLogger("fontTools")
    before = log.level
    log.setLevel(logging.WARNING)
    try:
        # Matplotlib gives a figure without a layout engine the default one after it was saved.
        with _style(), matplotlib.rc_context({"figure.constrained_layout.use": False}):
            yield
    finally:
        log.setLevel(before)


def in_lines(name: str) -> str:
    """A name of a row, what is in brackets on a line of its own if it is long."""
    before, _, after = name.partition(" (")
    return f"{before}\n({after}" if after and len(name) > LONG else name


def _style() -> Any:
    return matplotlib.style.context(STYLE, after_reset=True)
