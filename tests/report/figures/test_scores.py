"""The scores that figures read from tables."""

import shutil

import pytest

from lpips_repro.errors import UserError
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.report.figures import read_scores
from tests.report.figures.tables import PAPER_SPLITS, make_rows, write


def test_numbers_are_those_of_the_rows_within_the_rounding_of_the_csv(tmp_path):
    rows = make_rows(PAPER_SPLITS)
    scores = read_scores(write(tmp_path, rows))
    found = {row.label: row for row in scores.methods(TWOAFC.name)}
    assert found.keys() == {row.label for row in rows}
    for row in rows:
        assert found[row.label].scores == pytest.approx(row.scores, abs=0.0051)
        for column in PAPER_SPLITS:
            assert found[row.label].interval[column] == pytest.approx(row.interval[column], abs=0.0051)
        assert found[row.label].paper == row.paper
    assert scores.ceiling(TWOAFC.name).scores["real"] == 82.5
    assert scores.counts[TWOAFC.name]["cnn"] == 1234
    assert scores.observers == "human"


def test_methods_are_in_the_order_of_the_papers_figure_4(tmp_path):
    scores = read_scores(write(tmp_path, make_rows(PAPER_SPLITS)))
    assert [row.shown for row in scores.methods(TWOAFC.name)] == [
        *("l2-rgb", "ssim", "alex-gaussian off the shelf v0.0", "alex off the shelf v0.0"),
        *("alex lin v0.0", "alex scratch v0.1", "alex tune v0.1"),
    ]


def test_scores_csv_alone_is_enough(tmp_path):
    folder = write(tmp_path / "tables", make_rows(PAPER_SPLITS))
    shutil.copy(folder / "scores.csv", tmp_path / "mine.csv")
    scores = read_scores(tmp_path / "mine.csv")
    assert {row.group for row in scores.methods(TWOAFC.name)} == {""}
    assert scores.ceiling(TWOAFC.name).label == "human"
    assert scores.observers == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"scores.csv: no such file: run `make eval-tables` first"),
        ("a,b\n1,2\n", r"scores.csv: not the scores of `make eval-tables` \(KeyError\('kind'\)\)"),
        ("kind,label,split,statistic,value\n2afc,l2,all,score,x\n", "scores.csv: not the scores of"),
        ("kind,label,split,statistic,value\n2afc,l2\n", "scores.csv: not the scores of"),
    ],
)
def test_a_file_without_scores_is_an_error(tmp_path, content, message):
    if content is not None:
        (tmp_path / "scores.csv").write_text(content)
    with pytest.raises(UserError, match=message):
        read_scores(tmp_path)
