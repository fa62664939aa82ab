"""Labeled points."""

import itertools

import numpy as np
import pytest

from lpips_repro.report.figures.scatter import Point, label_points, scatter
from lpips_repro.report.figures.style import Picture, in_style


@in_style
def draw(*points):
    figure = Picture(figsize=(3.3, 3.0))
    panel = figure.subplots()
    scatter(panel, points)
    label_points(figure, [(panel, points)])
    return figure


def markers(figure):
    return {line.get_gid(): line for line in figure.axes[0].lines if line.get_gid()}


def test_points_have_the_position_the_marker_of_their_group_and_error_bars():
    figure = draw(
        Point("l2", "low-level", 60.0, 40.0, False, (59.0, 62.0), (38.5, 41.0)),
        Point("alex", "random", 70.0, 50.0, True),
    )
    found = markers(figure)
    assert found["point/l2"].get_xydata().tolist() == [[60, 40]]
    assert (found["point/l2"].get_marker(), found["point/alex"].get_marker()) == ("s", "X")
    assert (found["point/l2"].get_markerfacecolor(), found["point/alex"].get_markerfacecolor()) == ("white", "#000000")
    bars = [segment.tolist() for lines in figure.axes[0].collections for segment in lines.get_segments()]
    assert bars == [[[59, 40], [62, 40]], [[60, 38.5], [60, 41]]]


def boxes(figure):
    canvas = figure.canvas.get_renderer()
    return [text.get_window_extent(canvas) for text in figure.axes[0].texts]


@pytest.mark.parametrize("count", [2, 12, 40])
def test_labels_of_crowded_points_do_not_overlap(count):
    rng = np.random.default_rng(1)
    points = [Point(f"a-method-{k}", "lpips", *rng.uniform(0, 1, 2), True) for k in range(count)]
    figure = draw(*points)
    figure.draw_without_rendering()
    found = boxes(figure)
    assert len(found) == count
    covered = sum(one.overlaps(other) for one, other in itertools.combinations(found, 2))
    assert covered <= count // 20
    frame = figure.axes[0].get_window_extent()
    assert all(box.x0 >= frame.x0 - 1 and box.x1 <= frame.x1 + 1 for box in found)


def test_points_at_the_same_position_can_be_drawn():
    assert len(boxes(draw(Point("psnr", "low-level", 1, 1, False), Point("l2-rgb", "low-level", 1, 1, False)))) == 2
