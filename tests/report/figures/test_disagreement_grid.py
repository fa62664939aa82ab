"""Triplets on which two methods disagree."""

import numpy as np
import pytest

from lpips_repro.errors import UserError
from lpips_repro.evaluation.disagreement import disagreements_on
from lpips_repro.report.figures import disagreement_grid, save_figure
from tests.datasets.folders import noise_split


@pytest.fixture
def split(tmp_path):
    """Six triplets of noise; all judges chose p0."""
    return noise_split(tmp_path / "noise", 6, (16, 16))


def found_on(split):
    """Disagreements of two methods: the first is wrong on triplets 0 to 2, the second on 2 to 4."""
    near, far = np.zeros(6), np.ones(6)
    one, other = near.copy(), near.copy()
    one[:3], other[2:5] = 2, 2
    return disagreements_on(split, {"ssim": {"d0": one, "d1": far}, "alex": {"d0": other, "d1": far}})


def texts_of(panel):
    return [text.get_text() for text in panel.texts]


@pytest.mark.parametrize("width", [3.3, 7.0])
def test_triplets_are_grouped_by_the_method_that_judges_agree_with(split, width, recwarn):
    figure = disagreement_grid(found_on(split), {split.name: split}, width=width)
    figure.draw_without_rendering()
    assert [str(warning.message) for warning in recwarn] == []
    headings = ("ssim agrees more with the votes", "alex agrees more with the votes", "both are against the votes")
    groups, heading = {}, ""
    for panel in figure.axes:
        heading = next((text for text in texts_of(panel) if text in headings), heading)
        groups.setdefault(heading, set()).add(panel.get_title(loc="right"))
    assert groups == {
        headings[0]: {"noise 000003", "noise 000004"},
        headings[1]: {"noise 000000", "noise 000001"},
        headings[2]: {"noise 000002"},
    }
    assert [text.get_text() for text in figure.texts] == ["SIMULATED judgments: of a model, not of people"]


def test_a_panel_has_the_images_without_smoothing_and_the_votes_and_verdicts(split):
    figure = disagreement_grid(found_on(split), {split.name: split}, shown=1)
    panel = figure.axes[0]
    (image,) = panel.get_images()
    index = int(panel.get_title(loc="right").split()[1])
    shown = image.get_array()
    for place, name in enumerate(("p0", "ref", "p1")):
        left = place * (shown.shape[1] - 16) // 2
        assert (shown[:, left : left + 16] == split.arrays[name][index]).all()
    assert image.get_interpolation() == "nearest"
    assert [text for text in texts_of(panel) if "agrees" not in text] == [
        "p0: 100 %", "reference", "p1: 0 %", "ssim: p0\nalex: p1"
    ]  # fmt: skip


def test_all_formats_have_the_same_layout(split, tmp_path, recwarn):
    figure = disagreement_grid(found_on(split), {split.name: split})
    before = [panel.get_position().bounds for panel in figure.axes]
    save_figure(figure, tmp_path, "figure")
    assert [panel.get_position().bounds for panel in figure.axes] == before
    assert [str(warning.message) for warning in recwarn] == []


def test_two_methods_that_agree_on_all_triplets_are_an_error(split):
    with pytest.raises(UserError, match="the two methods disagree on no triplet"):
        disagreement_grid([], {split.name: split})
