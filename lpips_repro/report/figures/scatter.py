"""A scatter plot with labeled points."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from lpips_repro.report.figures.style import Picture, look_of

MARGIN = 0.08  # space around the points, as a share of their range
RADIUS, GAP = 2.6, 1.6  # radius of a marker, and space between it and its label, in points
FAR = 8.0  # a line joins a label to its marker if they are farther apart than this, in points
AWAY = (RADIUS + GAP, 7.0, 12.0, 18.0, 26.0, 36.0)
SIDES = ((1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1), (0, 1), (0, -1))
HALF = 0.6  # half the thickness of an error bar, in points
SIZE = 5.5  # font size of labels, in points
PER_POINT = 0.3  # cost of one point of distance, in square points of overlap

Box = tuple[float, float, float, float]  # left, bottom, right, top
Interval = tuple[float, float]


@dataclass(frozen=True)
class Point:
    """A labeled point.

    Attributes:
        label: text next to the point.
        group: group of methods, which determines color and marker.
        x, y: position.
        filled: whether the marker is filled.
        x_interval, y_interval: ends of the error bars, if there are any.
    """

    label: str
    group: str
    x: float
    y: float
    filled: bool
    x_interval: Interval | None = None
    y_interval: Interval | None = None


def scatter(panel: Axes, points: Sequence[Point]) -> None:
    """Draw points with error bars. `label_points` adds the labels when the layout is complete."""
    for point in points:
        look = look_of(point.group)
        panel.add_collection(LineCollection(_bars(point), colors=look.color, linewidths=0.7, zorder=1.5))
        fill = look.color if point.filled else "white"
        (marker,) = panel.plot(
            point.x, point.y, look.marker, color=fill, markeredgecolor="black" if point.filled else look.color
        )
        marker.set_gid(f"point/{point.label}")
    for axis in "xy":
        values = [getattr(point, axis) for point in points]
        margin = MARGIN * (max(values) - min(values)) or 1.0
        ends = [end for point in points for end in getattr(point, f"{axis}_interval") or ()]
        getattr(panel, f"set_{axis}lim")(min([*values, *ends]) - margin, max([*values, *ends]) + margin)


def group_marker(group: str) -> Line2D:
    """Return the legend entry of a group."""
    look = look_of(group)
    return Line2D([], [], linestyle="", marker=look.marker, color=look.color, markeredgecolor="black", label=group)


def label_points(figure: Picture, panels: Sequence[tuple[Axes, Sequence[Point]]]) -> None:
    """Add a label next to each point, or farther away with a line, so that labels do not overlap.

    Args:
        figure: the figure, whose layout is fixed from here on.
        panels: its panels with their points.
    """
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    figure.set_layout_engine("none")  # labels must not change the layout
    per_point = figure.dpi / 72
    for panel, points in panels:
        centers = panel.transData.transform([(point.x, point.y) for point in points]) / per_point
        frame = tuple(np.array(panel.get_window_extent().extents) / per_point)
        taken = [(x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS) for x, y in centers]
        taken += [_thick(panel.transData.transform(ends) / per_point) for point in points for ends in _bars(point)]
        for point, (x, y) in zip(points, centers, strict=True):
            text = panel.annotate(
                point.label, (point.x, point.y), xytext=(0, 0), textcoords="offset points", fontsize=SIZE, va="baseline"
            )
            extent = text.get_window_extent(canvas.get_renderer())
            width, height = extent.width / per_point, extent.height / per_point
            below = (panel.transData.transform((point.x, point.y))[1] - extent.y0) / per_point
            _, box, away = min(
                ((_cost(box, taken, frame) + PER_POINT * away, box, away) for box, away in _beside(x, y, width, height))
            )
            taken.append(box)
            text.set_position((box[0] - x, box[1] - y + below))
            if away > FAR:
                _join(panel, (x, y), box, per_point)


def _bars(point: Point) -> list[np.ndarray]:
    """The ends of the error bars, (2, 2) each: start and end by x and y."""
    bars = [[(x, point.y) for x in point.x_interval or ()], [(point.x, y) for y in point.y_interval or ()]]
    return [np.array(ends) for ends in bars if ends]


def _thick(ends: np.ndarray) -> Box:
    """The box around a line."""
    (left, bottom), (right, top) = ends.min(axis=0), ends.max(axis=0)
    return left - HALF, bottom - HALF, right + HALF, top + HALF


def _join(panel: Axes, center: tuple[float, float], box: Box, per_point: float) -> None:
    """Draw a thin line from a marker to the nearest point of its label."""
    nearest = [min(max(at, low), high) for at, low, high in zip(center, box[:2], box[2:], strict=True)]
    start, end = panel.transData.inverted().transform(np.array([center, nearest]) * per_point)
    panel.plot(*zip(start, end, strict=True), color="#707070", linewidth=0.4, zorder=1)


def _beside(x: float, y: float, width: float, height: float) -> Iterator[tuple[Box, float]]:
    """Yield the possible boxes of a label with their distances from the point, the nearest first."""
    for away in AWAY:
        for across, up in SIDES:
            reach = away if not (across and up) else away * 0.7
            left = x + across * reach - width * (1 - across) / 2
            bottom = y + up * reach - height * (1 - up) / 2
            yield (left, bottom, left + width, bottom + height), away


def _cost(box: Box, taken: Sequence[Box], frame: Box) -> float:
    """The area of a box that overlaps other boxes or is outside of the frame, in square points."""
    outside = (box[2] - box[0]) * (box[3] - box[1]) - _overlap(box, frame)
    return outside + sum(_overlap(box, other) for other in taken)


def _overlap(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0) * max(height, 0)
