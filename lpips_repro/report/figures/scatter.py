"""A scatter plot with labelled points, as a picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIZE = (820, 700)
LEFT, TOP, RIGHT, BOTTOM = 64, 64, 24, 92  # pixels around the frame
MARGIN = 0.08  # of the range of the points, beyond them
RADIUS, GAP = 5, 3  # of a marker, and between it and its label
LINE = 14  # height of a line of text
TICKS = 6  # about so many on an axis
FINER = 2  # drawn so many times as large, then shrunk, for smooth edges
GREY = "#d8d8d8"

Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Point:
    """A labelled point; the group gives the colour, and round ones are told from square ones."""

    label: str
    group: str
    x: float
    y: float
    round: bool


def scatter(
    points: Sequence[Point], title: Sequence[str], axes: tuple[str, str], colors: Mapping[str, str]
) -> Image.Image:
    """Points in a frame, with a label beside each.

    Args:
        title: up to two lines; axes: what x and y are.
        colors: of the groups, in the order of the legend.
    """
    picture = Image.new("RGB", (SIZE[0] * FINER, SIZE[1] * FINER), "white")
    canvas = _Canvas(picture)
    (x_low, x_high, x_ticks), (y_low, y_high, y_ticks) = (_axis([getattr(p, axis) for p in points]) for axis in "xy")
    left, top, right, bottom = frame = (LEFT, TOP, SIZE[0] - RIGHT, SIZE[1] - BOTTOM)

    def place(x: float, y: float) -> tuple[float, float]:
        across, up = (x - x_low) / (x_high - x_low), (y - y_low) / (y_high - y_low)
        return left + across * (right - left), bottom - up * (bottom - top)

    for tick in x_ticks:
        x, _ = place(tick, y_low)
        canvas.draw.line(_finer((x, top, x, bottom)), GREY, FINER)
        canvas.text((x, bottom + 6), f"{tick:g}", anchor="mt")
    for tick in y_ticks:
        _, y = place(x_low, tick)
        canvas.draw.line(_finer((left, y, right, y)), GREY, FINER)
        canvas.text((left - 6, y), f"{tick:g}", anchor="rm")
    canvas.draw.rectangle(_finer(frame), outline="black", width=FINER)
    for line, text in enumerate(title):
        canvas.text((left, 14 + 22 * line), text, size=14 if line else 16)
    canvas.text(((left + right) / 2, bottom + 26), axes[0], anchor="mt", size=14)
    canvas.upwards((16, (top + bottom) / 2), axes[1])
    _legend(canvas, points, colors)

    centres = [place(point.x, point.y) for point in points]
    for point, (x, y) in zip(points, centres, strict=True):
        canvas.marker(x, y, colors[point.group], point.round)
    taken = [(x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS) for x, y in centres]
    for point, centre in zip(points, centres, strict=True):
        box = min(_beside(centre, canvas.width(point.label)), key=lambda box: _cost(box, taken, frame))
        canvas.text((box[0], (box[1] + box[3]) / 2), point.label, anchor="lm")
        taken.append(box)
    return picture.resize(SIZE, Image.Resampling.LANCZOS)


class _Canvas:
    """Draws in the pixels of the picture that comes out."""

    def __init__(self, picture: Image.Image):
        self.picture = picture
        self.draw = ImageDraw.Draw(picture)

    def text(self, where: Sequence[float], text: str, anchor: str = "lt", size: int = 12) -> None:
        x, y = _finer(where)
        self.draw.text((x, y), text, "black", ImageFont.load_default(size * FINER), anchor)

    def width(self, text: str) -> float:
        return ImageFont.load_default(12 * FINER).getlength(text) / FINER

    def upwards(self, where: Sequence[float], text: str) -> None:
        font = ImageFont.load_default(14 * FINER)
        _, _, width, height = self.draw.textbbox((0, 0), text, font, "lt")
        strip = Image.new("RGB", (int(width), int(height)), "white")
        ImageDraw.Draw(strip).text((0, 0), text, "black", font, "lt")
        x, y = _finer(where)
        self.picture.paste(strip.rotate(90, expand=True), (int(x), int(y - width / 2)))

    def marker(self, x: float, y: float, color: str, round_: bool) -> None:
        shape = self.draw.ellipse if round_ else self.draw.rectangle
        reach = RADIUS if round_ else RADIUS - 1
        shape(_finer((x - reach, y - reach, x + reach, y + reach)), color, "black", FINER)


def _finer(lengths: Sequence[float]) -> tuple[float, ...]:
    return tuple(FINER * length for length in lengths)


def _axis(values: Sequence[float]) -> tuple[float, float, np.ndarray]:
    """Both ends of an axis, and its ticks at round numbers."""
    span = max(values) - min(values)
    low, high = min(values) - MARGIN * span, max(values) + MARGIN * span
    power = 10.0 ** np.floor(np.log10((high - low) / TICKS))
    step = next(power * k for k in (1, 2, 5, 10) if power * k * TICKS >= high - low)
    return low, high, np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step


def _legend(canvas: _Canvas, points: Sequence[Point], colors: Mapping[str, str]) -> None:
    x, y = float(LEFT), SIZE[1] - 20
    for group, color in colors.items():
        if any(point.group == group for point in points):
            canvas.marker(x + RADIUS, y, color, True)
            canvas.text((x + 2 * RADIUS + 5, y), group, anchor="lm")
            x += canvas.width(group) + 2 * RADIUS + 24


def _beside(centre: tuple[float, float], width: float) -> list[Box]:
    """Where the label of a point may stand, best first: next to it, or further off where it is crowded."""
    x, y = centre
    boxes = []
    for away in (RADIUS + GAP, 2 * RADIUS + 3 * GAP, 4 * RADIUS + 3 * GAP):
        across = (x + away, x - away - width, x - width / 2)
        down = (y - LINE / 2, y - away - LINE, y + away)
        places = [(left, top) for left in across[:2] for top in down] + [(across[2], top) for top in down[1:]]
        boxes += [(left, top, left + width, top + LINE) for left, top in places]
    return boxes


def _cost(box: Box, taken: Sequence[Box], frame: Box) -> float:
    """How much of a box lies on what is taken, or outside the frame."""
    inside = _overlap(box, frame)
    outside = (box[2] - box[0]) * (box[3] - box[1]) - inside
    return outside + sum(_overlap(box, other) for other in taken)


def _overlap(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0) * max(height, 0)
