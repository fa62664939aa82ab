import pytest

from lpips_repro.paper.comparison import Cell
from lpips_repro.paper.page import duration, reproduction_page

CELLS = [
    Cell("2AFC score", "alex lin", "cnn", 83.4, "alex-lin-v0.0", 83.1, (82.0, 84.0)),
    Cell("2AFC score", "alex lin", "all", 69.8, "alex-lin-v0.0", 68.0, (67.5, 68.5)),
    Cell("2AFC score", "hdr-vdp", "cnn", 76.8, "hdr-vdp", note="not run: MATLAB | code"),
    Cell("2AFC score", "hdr-vdp", "all", 61.4, "hdr-vdp", note="not run: MATLAB | code"),
]
STEPS = {
    "dataset": {"state": "done", "seconds": 12.0},
    "train vgg lin seed 0": {"state": "not run", "reason": "no weights"},
}


def page(observers="human", report=""):
    return reproduction_page(CELLS, "bapps", observers, {"trainer.schedule": "released", "seed": 0}, STEPS, report)


def rows(text, start):
    return [[cell.strip() for cell in line.split(" | ")] for line in text.splitlines() if line.startswith(start)]


def test_each_row_has_the_papers_figures_ours_and_the_verdicts():
    text = page()
    table = text.partition("## 2AFC score")[2]
    assert "| 83.4" in table and "| 83.10 (82.00–84.00)" in table
    assert "-0.30, inside the interval" in table and "-1.80, outside" in table
    assert "| not run: MATLAB &#124; code" in table  # escaped, as a bar would end the cell


def test_the_summary_counts_the_verdicts():
    (line,) = (line for line in page().splitlines() if line.startswith("| 2AFC score"))
    assert [cell.strip() for cell in line.strip("|").split("|")] == ["2AFC score", "1", "", "1", "", "2"]


def test_settings_and_steps_are_on_the_page():
    text = page()
    assert "`trainer.schedule`" in text and "released" in text
    assert "| dataset" in text and "12 s" in text and "no weights" in text


def test_the_report_is_linked_if_there_is_one():
    assert "[The report](../paper-report/index.html)" in page(report="../paper-report/index.html")
    assert "The report" not in page()


def test_the_page_warns_of_simulated_judgments():
    assert "SIMULATED" in page("simulated").partition("##")[0]
    assert "SIMULATED" not in page()


@pytest.mark.parametrize(("seconds", "text"), [(40, "40 s"), (720, "12 min"), (12600, "3.5 h")])
def test_times_are_readable(seconds, text):
    assert duration(seconds) == text
