import pytest

from lpips_repro.evaluation.columns import add_averages, columns_of
from lpips_repro.evaluation.reference import read_paper
from tests.compose import CONFIGS

SPLITS = ("traditional", "cnn", "superres", "deblur", "color", "frameinterp")


def test_columns_are_the_papers_in_its_order():
    expected = ("traditional", "cnn", "distortions", "superres", "deblur", "color", "frameinterp", "real", "all")
    assert columns_of("2afc", SPLITS[::-1]) == expected
    assert columns_of("jnd", ("cnn", "traditional")) == ("traditional", "cnn", "all")


def test_other_splits_are_followed_by_their_mean():
    assert columns_of("2afc", ("mine", "cnn")) == ("cnn", "mine", "all")
    assert add_averages("2afc", {"mine": 0.5, "cnn": 0.7}) == pytest.approx({"cnn": 0.7, "mine": 0.5, "all": 0.6})


def test_averages_of_the_papers_rows_are_the_papers():
    # The paper rounds to one decimal after averaging, and the splits before: 0.05 + 0.05.
    published = read_paper(CONFIGS.parent / "experiments" / "reference", "2afc")
    assert len(published) == 23
    for scores in published.values():
        found = add_averages("2afc", {split: scores[split] for split in SPLITS})
        for column in ("distortions", "real", "all"):
            assert found[column] == pytest.approx(scores[column], abs=0.1001)


def test_jnd_figures_stand_under_all():
    published = read_paper(CONFIGS.parent / "experiments" / "reference", "jnd")
    assert published["vgg", "lin"] == {"all": 61.0}
