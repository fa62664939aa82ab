"""All pairs of methods: decided pairs, and intervals of ranks."""

from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle

from lpips_repro.errors import UserError
from lpips_repro.evaluation.protocols import PROTOCOLS
from lpips_repro.report.all_pairs import LEVEL, Column
from lpips_repro.report.figures.style import LINE, PAGE, Picture, in_style, legend_below, name_observers

DECIDED, OPEN = "#333333", "#e6e6e6"
NUMBERS = 12  # largest number of methods for which cells have numbers


@in_style
def pairs_matrix(pairs: Column, width: float = PAGE) -> Picture:
    """Return a figure with a cell per pair of methods, dark if the pair is decided, and with intervals of ranks.

    Args:
        pairs: all pairs in one column of a table.
        width: width of the figure in inches.

    Raises:
        UserError: if there is only one method.
    """
    count = len(pairs.methods)
    if count < 2:
        raise UserError("expected two or more methods with stored distances: run `make eval-tables`")
    figure = Picture(figsize=(width, LINE * count + 0.7))
    matrix, ranks = figure.subplots(1, 2, width_ratios=(2, 1))
    _draw_matrix(matrix, pairs)
    _draw_ranks(ranks, pairs)
    for panel in (matrix, ranks):
        panel.set_ylim(count - 0.5, -0.5)
        panel.tick_params(length=0)
    matrix.set_xlim(-0.5, count - 0.5)
    ranks.set_xlim(0.5, count + 0.5)
    matrix.set_yticks(range(count), [f"{name}  {place}" for place, name in enumerate(pairs.shown, 1)])
    ranks.set_yticks(range(count), [""] * count)
    unit = " (points)" if PROTOCOLS[pairs.kind].scale == 100 else ""
    matrix.set_title(f"{pairs.title}, {pairs.name}: row minus column{unit}", loc="left")
    ranks.set_title(f"{1 - LEVEL:.0%} intervals of ranks".replace("%", " %"), loc="left")
    handles = [
        Patch(facecolor=DECIDED, label=f"decided (p ≤ {LEVEL:g}, adjusted for all pairs)"),
        Patch(facecolor=OPEN, label="not decided"),
    ]
    legend_below(figure, handles, max(len(str(handle.get_label())) for handle in handles))
    name_observers(figure, pairs.observers)
    return figure


def _draw_matrix(panel: Axes, pairs: Column) -> None:
    """Draw the cells above the diagonal; those below it would be the same."""
    decimals = PROTOCOLS[pairs.kind].decimals
    for row, label in enumerate(pairs.methods):
        for column in range(row + 1, len(pairs.methods)):
            difference, p = pairs.difference[row][column], pairs.p_holm[row][column]
            decided = p is not None and p <= LEVEL
            cell = Rectangle((column - 0.46, row - 0.42), 0.92, 0.84, facecolor=DECIDED if decided else OPEN)
            panel.add_patch(cell).set_gid(f"{label}/{pairs.methods[column]}")
            if len(pairs.methods) <= NUMBERS and difference is not None:
                ink = "white" if decided else "black"
                panel.text(column, row, f"{difference:.{decimals}f}", color=ink, ha="center", va="center", fontsize=6)
    step = 1 + len(pairs.methods) // 30
    panel.set_xticks(range(0, len(pairs.methods), step), [*range(1, len(pairs.methods) + 1, step)])
    panel.grid(visible=False)


def _draw_ranks(panel: Axes, pairs: Column) -> None:
    for place, (best, worst) in enumerate(pairs.ranks):
        panel.plot([best, worst], [place, place], color="black", marker="|", markersize=5)
        panel.plot(place + 1, place, color="black", marker="o", markersize=3)
    panel.set_xlabel("rank")
    panel.locator_params(axis="x", integer=True)
