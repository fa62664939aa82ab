"""The picture of a triplet that a model gets wrong."""

import numpy as np
import pytest
from PIL import ImageDraw

from lpips_repro.training.pictures import EDGE, GAP, JUDGES, LINE, METRIC, SIDE, picture_of
from lpips_repro.training.validation import Disagreement


def triplet(d0=0.1234, d1=0.5, judge=0.8, side=64, height=None, observers="human"):
    rng = np.random.default_rng(0)
    images = {name: rng.integers(0, 256, (height or side, side, 3), np.uint8) for name in ("ref", "p0", "p1")}
    return Disagreement("cnn", 17, d0, d1, 0.3, judge, images, observers)


@pytest.fixture
def texts(monkeypatch):
    """What is written into a picture."""
    found = []
    write = ImageDraw.ImageDraw.text
    monkeypatch.setattr(
        ImageDraw.ImageDraw, "text", lambda self, xy, text, *more: found.append(text) or write(self, xy, text, *more)
    )
    return found


def test_patches_are_enlarged_three_times_to_the_pixel():
    one = triplet()
    picture = picture_of(one)
    for place, name in enumerate(("ref", "p0", "p1")):
        left, top = GAP + place * (SIDE + 2 * EDGE + GAP) + EDGE, LINE + GAP + EDGE
        shown = picture[top : top + 192, left : left + 192]
        assert (shown == one.images[name].repeat(3, axis=0).repeat(3, axis=1)).all()


def test_votes_distances_and_verdict_are_in_the_picture(texts):
    picture_of(triplet())
    assert texts == [
        "cnn 000017: 80 % chose p1, predicted 30 %: wrong",
        *("REFERENCE", "outer frame: judges", "inner frame: nearer"),
        *("p0", "judges: 20 %", "d0: 0.1234 (nearer)"),
        *("p1", "judges: 80 %", "d1: 0.5000"),
    ]


@pytest.mark.parametrize(
    ("d0", "d1", "judge", "verdict"),
    [(1.0, 2.0, 0.2, "right"), (2.0, 1.0, 0.2, "wrong"), (1.0, 1.0, 0.2, "a tie"), (1.0, 2.0, 0.5, "a tie")],
)
def test_the_verdict_is_by_the_majority(texts, d0, d1, judge, verdict):
    picture_of(triplet(d0, d1, judge))
    assert texts[0].endswith(f": {verdict}")


def test_simulated_judges_are_called_so(texts):
    picture_of(triplet(observers="simulated"))
    assert texts[0] == "cnn 000017 (SIMULATED): 80 % chose p1, predicted 30 %: wrong"


def rgb(color):
    return tuple(int(color[k : k + 2], 16) for k in (1, 3, 5))


@pytest.mark.parametrize(
    ("d0", "d1", "judge", "outer", "inner"), [(1, 2, 0.8, 2, 1), (2, 1, 0.2, 1, 2), (1, 1, 0.5, 0, 0)]
)
def test_frames_mark_what_judges_and_distances_chose(d0, d1, judge, outer, inner):
    picture = picture_of(triplet(d0, d1, judge))
    for place in (1, 2):
        corner = picture[LINE + GAP, GAP + place * (SIDE + 2 * EDGE + GAP)]
        within = picture[LINE + GAP + 3, GAP + place * (SIDE + 2 * EDGE + GAP) + 3]
        assert (tuple(corner) == rgb(JUDGES)) == (place == outer)
        assert (tuple(within) == rgb(METRIC)) == (place == inner)


@pytest.mark.parametrize(("side", "height"), [(32, 32), (96, 96), (224, 224), (300, 500), (8, 8)])
def test_images_of_any_size_fit(side, height):
    picture = picture_of(triplet(side=side, height=height))
    assert picture.dtype == np.uint8
    assert max(picture.shape) < 1700
