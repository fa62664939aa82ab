"""A picture of a triplet that a model gets wrong, with the choices of people and of the model."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lpips_repro.training.validation import Disagreement

SIDE = 192  # approximate side of a shown image in pixels: patches of 64 are enlarged three times
EDGE, GAP = 5, 12  # width of a frame, and space between images, in pixels
SIZE = 18  # size of the text in pixels
LINE = 25
JUDGES, METRIC = "#0072b2", "#d55e00"  # colors of the frames, which color-blind people can distinguish


def picture_of(triplet: Disagreement) -> np.ndarray:
    """The reference, p0 and p1 in a row, enlarged without smoothing, uint8 (H, W, 3).

    The image that most judges chose has an outer frame, and the one with the smaller distance an inner frame. Votes and
    distances are below the images.
    """
    names = ("ref", "p0", "p1")
    factor = max(1, round(SIDE / max(triplet.images["ref"].shape[:2])))
    shown = [Image.fromarray(np.kron(triplet.images[name], np.ones((factor, factor, 1), np.uint8))) for name in names]
    cell_width, cell_height = max(SIDE, shown[0].width) + 2 * EDGE + GAP, shown[0].height + 2 * EDGE
    picture = Image.new("RGB", (3 * cell_width + GAP, LINE + GAP + cell_height + 3 * LINE), "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(SIZE)
    draw.text((GAP, GAP // 2), _title(triplet), "black", font)
    votes, distances = (1 - triplet.judge, triplet.judge), (triplet.d0, triplet.d1)
    lines = [("REFERENCE", "outer frame: judges", "inner frame: nearer")]
    for number in (0, 1):
        nearer = " (nearer)" * (distances[number] < distances[1 - number])
        lines.append(
            (f"p{number}", f"judges: {100 * votes[number]:.0f} %", f"d{number}: {distances[number]:.4f}{nearer}")
        )
    for place, image in enumerate(shown):
        left, top = GAP + place * cell_width, LINE + GAP
        box = (left, top, left + image.width + 2 * EDGE - 1, top + image.height + 2 * EDGE - 1)
        if place == 0:
            draw.rectangle(box, outline="black", width=2)
        elif votes[place - 1] > votes[2 - place]:
            draw.rectangle(box, outline=JUDGES, width=3)
        if place and distances[place - 1] < distances[2 - place]:
            inner = tuple(at + step for at, step in zip(box, (3, 3, -3, -3), strict=True))
            draw.rectangle(inner, outline=METRIC, width=2)
        picture.paste(image, (left + EDGE, top + EDGE))
        colors = ("black", JUDGES, METRIC)
        for line, (text, color) in enumerate(zip(lines[place], colors, strict=True)):
            draw.text((left, top + cell_height + 2 + line * LINE), text, color, font)
    return np.asarray(picture)


def _title(triplet: Disagreement) -> str:
    simulated = " (SIMULATED)" if triplet.observers == "simulated" else ""
    said = f"{triplet.split} {triplet.index:06d}{simulated}: {100 * triplet.judge:.0f} % chose p1"
    return f"{said}, predicted {100 * triplet.chosen:.0f} %: {_verdict(triplet)}"


def _verdict(triplet: Disagreement) -> str:
    if triplet.d0 == triplet.d1 or triplet.judge == 0.5:
        return "a tie"
    return "right" if (triplet.d1 < triplet.d0) == (triplet.judge > 0.5) else "wrong"
