import numpy as np
import pytest
from PIL import ImageColor

from lpips_repro.report.scatter import SIZE, Point, scatter

COLORS = {"low-level": "#ff0000", "random": "#0000ff"}


def places(picture, color):
    """Where pixels above the legend have a colour: x, y."""
    ys, xs = np.nonzero((np.asarray(picture)[: SIZE[1] - 40] == ImageColor.getrgb(color)).all(axis=-1))
    return xs, ys


def draw(*points, axes=("x", "y")):
    return scatter(points, ("title", "more"), axes, COLORS)


def test_points_stand_where_their_scores_are_in_the_colour_of_their_group():
    picture = draw(Point("l2", "low-level", 60.0, 40.0, False), Point("alex", "random", 70.0, 50.0, True))
    assert picture.size == SIZE
    (left, low), (right, high) = (np.mean(places(picture, color), axis=1) for color in COLORS.values())
    # The margin is 0.08 of the range on both sides, in a frame of 732 x 544 pixels at (64, 64).
    assert (left, right) == pytest.approx((64 + 732 * 0.08 / 1.16, 64 + 732 * 1.08 / 1.16), abs=1)
    assert (high, low) == pytest.approx((64 + 544 * 0.08 / 1.16, 64 + 544 * 1.08 / 1.16), abs=1)


def test_round_points_are_told_from_square_ones():
    filled = {}
    for round_ in (True, False):
        xs, ys = places(draw(Point("", "low-level", 0, 0, round_), Point("", "random", 1, 1, round_)), "#ff0000")
        filled[round_] = len(xs) / (np.ptp(xs) + 1) / (np.ptp(ys) + 1)  # of the box around it
    assert filled[False] == 1
    assert filled[True] < 0.95


def test_labels_title_and_axes_are_drawn():
    points = [Point("", "low-level", 0, 0, False), Point("", "random", 1, 1, True)]
    plain = np.asarray(draw(*points, axes=("", "")), dtype=int)
    for other in (draw(*points), draw(points[0], Point("alex", "random", 1, 1, True), axes=("", ""))):
        assert (np.asarray(other, dtype=int) != plain).any()


def test_labels_of_points_at_one_place_do_not_cover_each_other():
    def ink(*labels):
        points = [Point(label, "low-level", 0, 0, False) for label in labels]
        return 255 * 3 - np.asarray(draw(*points, Point("", "random", 1, 1, True)), dtype=int).sum(axis=-1)

    without = ink("", "").sum()
    assert ink("psnr", "l2-rgb").sum() - without == pytest.approx(
        ink("psnr", "").sum() + ink("l2-rgb", "").sum() - 2 * without, rel=0.1
    )
