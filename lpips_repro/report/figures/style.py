"""Parts that all figures share: style, the look of each group of methods, and files."""

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
from lpips_repro.files import write_whole

P = ParamSpec("P")

STYLE = Path(__file__).with_name("figures.mplstyle")
COLUMN, PAGE = 3.3, 7.0  # width of a column and of a page in print, in inches
LONG = 24  # longest name in one line, in characters
SIMULATED = "SIMULATED judgments: of a model, not of people"
CHARACTER, LINE = 0.064, 0.15  # approximate width of a character and height of a line, in inches
FORMATS = ("png", "svg", "pdf")
# By group. Colors differ for color-blind readers (Okabe and Ito 2008); hatches and markers differ without color.
HATCHES = ("", "", "////", "....", "\\\\\\\\", "xxxx")
COLORS = ("#999999", "#000000", "#e69f00", "#56b4e9", "#009e73", "#d55e00")
MARKERS = ("s", "X", "^", "v", "o", "D")
# For lines; after the last color they start again with other dashes and markers.
LINES = ("#0072b2", "#d55e00", "#009e73", "#000000", "#cc79a7", "#e69f00", "#56b4e9")
DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))


@dataclass(frozen=True)
class Look:
    """Color, hatch and marker of the methods of a group."""

    color: str
    hatch: str
    marker: str


LOOKS = {group: Look(*look) for group, look in zip(GROUPS, zip(COLORS, HATCHES, MARKERS, strict=True), strict=True)}
OTHER = Look("#cc79a7", "oo", "P")  # of groups that are not in the paper


class Picture(Figure):
    """A figure that a notebook displays with any backend."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        with _saving():
            self.savefig(file, format="png", dpi=150)
        return file.getvalue()


def in_style(function: Callable[P, Picture]) -> Callable[P, Picture]:
    """Decorate a function to draw in this style. The user's settings of matplotlib are neither used nor changed."""

    @functools.wraps(function)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Picture:
        with _style():
            return function(*args, **kwargs)

    return styled


def save_figure(figure: Figure, folder: Path, name: str, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write NAME.png, NAME.svg and NAME.pdf, and return their paths. The same figure gives the same bytes."""
    dates: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    files = [folder / f"{name}.{suffix}" for suffix in formats]
    with _saving():
        for suffix, file in zip(formats, files, strict=True):
            content = io.BytesIO()
            figure.savefig(content, format=suffix, metadata=dates.get(suffix))
            write_whole(file, content.getvalue())
    return files


def look_of(group: str) -> Look:
    """Return color, hatch and marker of a group."""
    return LOOKS.get(group, OTHER)


def panels(count: int, width: float, narrowest: float, height: float, **shared: Any) -> tuple[Picture, list[Axes]]:
    """Return a figure with some panels, as many per row as fit, and the list of panels.

    Args:
        count: number of panels.
        width: width of the figure; narrowest: smallest width of a panel; height: height of a panel (all in inches).
        shared: `sharex` and `sharey` of `Figure.subplots`.
    """
    across = min(count, max(1, int(width / narrowest)))
    down = -(-count // across)
    across = -(-count // down)  # rows of similar length
    figure = Picture(figsize=(width, down * height))
    grid = figure.subplots(down, across, squeeze=False, **shared).ravel()
    for unused in grid[count:]:
        unused.remove()
    return figure, list(grid[:count])


def group_patch(group: str) -> Patch:
    """Return the legend entry of a group."""
    look = look_of(group)
    return Patch(**bar_look(look), label=group or "methods")


def bar_look(look: Look) -> dict[str, Any]:
    """Return the arguments of a bar with some look."""
    return {"facecolor": look.color, "hatch": look.hatch, "edgecolor": "black"}


def legend_below(figure: Picture, handles: Sequence[Any], longest: int) -> None:
    """Add a legend below all panels, in as many columns as fit; `longest`: characters of its longest text."""
    columns = min(len(handles), max(1, int(figure.get_figwidth() / (CHARACTER * longest + 0.5))))
    figure.set_figheight(figure.get_figheight() + LINE * -(-len(handles) // columns))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, columnspacing=1.2)


def title_above(figure: Picture, text: str) -> None:
    """Add a title above all panels, in one or more lines."""
    lines = textwrap.wrap(text, int(figure.get_figwidth() / CHARACTER))
    figure.set_figheight(figure.get_figheight() + LINE * len(lines))
    figure.suptitle("\n".join(lines))


def name_observers(figure: Picture, observers: str) -> None:
    """Add a title that the judgments are simulated or of unknown observers, if they are."""
    titles = {"simulated": SIMULATED, "unknown": "Judgments of unknown observers"}
    if observers in titles:
        title_above(figure, titles[observers])


@contextlib.contextmanager
def _saving() -> Iterator[None]:
    """The style for saving. The log lines of fontTools on the glyphs of a PDF, of level INFO, are suppressed."""
    log = logging.getLogger("fontTools")
    before = log.level
    log.setLevel(logging.WARNING)
    try:
        # After saving, matplotlib sets the default layout engine of a figure without one.
        with _style(), matplotlib.rc_context({"figure.constrained_layout.use": False}):
            yield
    finally:
        log.setLevel(before)


def in_lines(name: str) -> str:
    """Return a name of a row, with the part in parentheses on a second line if the name is long."""
    before, _, after = name.partition(" (")
    return f"{before}\n({after}" if after and len(name) > LONG else name


def _style() -> Any:
    return matplotlib.style.context(STYLE, after_reset=True)
