"""What of the tables is printed."""

import pytest

from lpips_repro.evaluation.protocols import PROTOCOLS
from lpips_repro.evaluation.protocols.jnd import JND
from lpips_repro.evaluation.tables.table import Row
from lpips_repro.evaluation.tables.terminal_text import overview, shown_table
from lpips_repro.evaluation.tables.writer import terminal_table, write_tables
from tests.evaluation.tables.test_writer import row, table

MISSING = Row("lpips", "vgg", note="not run: no weights", observers="human")


def test_rows_without_scores_are_one_line(tmp_path):
    text = shown_table(table(row("ssim", all=61.5), MISSING), tmp_path, every_row=False)
    assert "ssim" in text and "vgg" not in text
    (line,) = (line for line in text.splitlines() if "no scores" in line)
    assert line == f'1 row has no scores: see the column note of {tmp_path}/twoafc.csv, or ARGS="show=all"'


@pytest.mark.parametrize("rows", [[row("ssim", all=61.5)], [MISSING]])
def test_a_table_of_scores_only_or_of_none_is_whole(rows, tmp_path):
    assert shown_table(table(*rows), tmp_path, every_row=False) == terminal_table(table(*rows))


def test_every_row_is_printed_with_its_reason_if_asked_for(tmp_path):
    text = shown_table(table(row("ssim", all=61.5), MISSING), tmp_path, every_row=True)
    assert "- vgg: not run: no weights" in text and "no scores" not in text


def test_a_row_with_some_scores_is_kept_with_its_reason(tmp_path):
    partly = row("psnr", one=50.0)
    partly.note = "not run: on 2afc/val/two"
    text = shown_table(table(partly, MISSING, columns=("one", "two", "all")), tmp_path, every_row=False)
    assert "- psnr: not run: on 2afc/val/two" in text and "vgg" not in text


def test_the_overview_has_one_line_per_row_and_one_score_per_kind_of_judgments(tmp_path):
    twoafc = table(row("human", "observers", all=73.9), row("ssim", cnn=1.0, all=61.5), MISSING, columns=("cnn", "all"))
    likelihood = table(row("chance", "observers", all=0.4), protocol=PROTOCOLS["2afc-likelihood"])
    jnd = table(row("ssim", all=50.25), row("psnr", all=40.0), MISSING, protocol=JND)
    write_tables(tmp_path, [twoafc, likelihood, jnd])
    judged, _, *lines, _, left_out = overview(tmp_path).splitlines()
    assert judged == "Judgments: human observers."
    assert [line.split() for line in lines if "-" * 5 not in line] == [
        ["method", "2AFC", "score", "(%)", "95", "%", "CI", "JND", "mAP", "(%)", "95", "%", "CI"],
        ["human", "73.90", "72.9–74.9", "–"],
        ["ssim", "61.50", "60.5–62.5", "50.25", "49.2–51.2"],
        ["psnr", "–", "40.00", "39.0–41.0"],
    ]
    assert left_out == f'1 row has no scores: see the column note of {tmp_path}/twoafc.csv, or ARGS="show=all"'


def test_a_folder_without_tables_has_no_overview(tmp_path):
    assert overview(tmp_path) == ""
