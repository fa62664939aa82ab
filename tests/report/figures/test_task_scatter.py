"""JND mAP over 2AFC score."""

import numpy as np
import pytest
import scipy.stats

from lpips_repro.errors import UserError
from lpips_repro.evaluation.tables.table import Row
from lpips_repro.report.figures import draw_methods, jnd_against_twoafc, paper_methods, read_scores
from tests.compose import CONFIGS
from tests.report.figures.tables import METHODS, PAPER_SPLITS, make_rows, write

REFERENCE = CONFIGS.parent / "experiments/reference"


def title_of(figure):
    return figure.axes[0].get_title(loc="left")


def points_of(figure):
    lines = figure.axes[0].lines
    return {line.get_gid(): tuple(line.get_xydata()[0]) for line in lines if line.get_gid()}


def test_the_papers_points_give_its_correlation():
    figure = draw_methods([paper_methods(REFERENCE)])
    assert len(points_of(figure)) == 22
    assert " ".join(title_of(figure).split()) == (
        "paper, Figure 5 rho = 0.956 over 22 methods, 0.930 over 13 AlexNet-like ones (filled)"
    )


def test_points_are_the_scores_of_both_tables_with_their_correlation(tmp_path):
    jnd = make_rows(("all",), seed=1)
    scores = read_scores(write(tmp_path, make_rows(PAPER_SPLITS), jnd=jnd[:-1]))
    figure = jnd_against_twoafc(scores)
    points = points_of(figure)
    assert len(points) == len(METHODS) - 1
    row = next(row for row in scores.rows["2afc"] if row.label == "ssim")
    assert points["point/ssim"] == pytest.approx((row.scores["distortions"], jnd[1].scores["all"]), abs=0.0051)
    rho = scipy.stats.pearsonr(*np.array([*points.values()]).T).statistic
    assert title_of(figure) == f"rho = {rho:.3f} over {len(points)} methods"
    bars = [len(lines.get_segments()) for lines in figure.axes[0].collections]
    assert bars == [2] * len(points)  # along x and y


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_methods_have_no_correlation(tmp_path, count):
    rows = make_rows(PAPER_SPLITS)[:count]
    figure = jnd_against_twoafc(read_scores(write(tmp_path, rows, jnd=make_rows(("all",), METHODS[:count]))))
    assert title_of(figure) == ""
    assert len(points_of(figure)) == count


def test_no_method_in_both_tables_is_an_error(tmp_path):
    scores = read_scores(
        write(tmp_path, make_rows(PAPER_SPLITS), jnd=[Row("low-level", "other", scores={"all": 50.0})])
    )
    with pytest.raises(UserError, match="no method has both a 2AFC and a JND score"):
        jnd_against_twoafc(scores)
