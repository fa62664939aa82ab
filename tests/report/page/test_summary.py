"""The tables of the page, compared with the CSV files and with known scores on real judgments."""

import csv
import html
import re

import pytest

from lpips_repro.evaluation.protocols.jnd import JND
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.report.figures import read_scores
from lpips_repro.report.page.summary import read_summaries
from tests.real_judgments import METHODS, SPLITS, distances_of, judge_of
from tests.report.page.reports import (
    make_report,
    make_tables,
    noise,
    random_distances,
    random_votes,
    write_distances,
)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Tables of all six 2AFC splits with published figures, and of two JND splits."""
    folder = tmp_path_factory.mktemp("tables")
    splits = [noise(folder / "packed", name, random_votes(40, seed), "human") for seed, name in enumerate(SPLITS)]
    splits += [noise(folder / "packed", name, random_votes(20, 9), "human", JND) for name in ("traditional", "cnn")]
    methods = write_distances(folder, splits, random_distances(["a", "b", "c"], splits))
    return make_tables(folder, splits, methods, paper=True)


def summaries(tables):
    return {one.name: one for one in read_summaries(tables, read_scores(tables).counts)}


def test_cells_are_those_of_the_csv(tables):
    found = summaries(tables)
    assert [*found] == ["twoafc", "jnd"]
    for name, table in found.items():
        with (tables / f"{name}.csv").open(newline="") as file:
            lines = {line["label"]: line for line in csv.DictReader(file)}
        assert table.csv.encode() == (tables / f"{name}.csv").read_bytes()
        for line in table.lines:
            for column, cell in zip(table.columns, line.cells, strict=True):
                own = lines[line.row.label]
                assert cell.value == own[column.name]
                assert cell.below["interval"] == "{:.1f}–{:.1f}".format(
                    *(float(own[f"{column.name}_{end}"]) for end in ("lo", "hi"))
                )
                assert cell.below.get("difference", "") == own.get(f"{column.name}_diff", "")


def test_averages_name_their_columns(tables):
    found = summaries(tables)
    assert {column.name: column.members for column in found["twoafc"].columns if column.members} == TWOAFC.averages
    assert {column.name: column.members for column in found["jnd"].columns if column.members} == JND.averages
    counts = {column.name: column.count for column in found["twoafc"].columns}
    assert (counts["all"], counts["real"]) == (240, 160)


def test_the_column_that_summarizes_a_row_is_next_to_the_method(tables):
    for table in summaries(tables).values():
        assert table.columns[0].name == "all"
        assert [line.difference for line in table.lines] == [
            line.cells[0].below.get("difference", "") for line in table.lines
        ]


def test_ties_are_the_differences_whose_adjusted_p_is_above_5_percent(tables):
    table = summaries(tables)["twoafc"]
    with (tables / "differences.csv").open(newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["kind"] == "2afc"]
    wanted = {(line["label"], line["split"]) for line in lines if float(line["p_holm"]) > 0.05}
    marked = {
        (line.row.label, column.name)
        for line in table.lines
        for column, cell in zip(table.columns, line.cells, strict=True)
        if cell.is_tie
    }
    assert marked == wanted and marked
    assert table.baseline == lines[0]["baseline"] and table.is_best


def test_rows_without_scores_have_their_reason_and_are_in_the_download(tables):
    path = tables / "twoafc.csv"
    text = path.read_text()
    head, first, *_ = csv.reader(text.splitlines())
    lost = ["lost", *first[1:9], *[""] * (len(head) - 9)]
    lost[head.index("observers")], lost[head.index("settings")] = "human", "{}"
    lost[head.index("note")] = "not run: no <weights>"
    path.write_text(f"{text}{','.join(lost)}\n")
    try:
        table = summaries(tables)["twoafc"]
    finally:
        path.write_text(text)
    assert [(row.label, row.note) for row in table.without] == [("lost", "not run: no <weights>")]
    assert "lost" not in {line.row.label for line in table.lines}
    assert table.records[-1]["label"] == "lost" and table.records[-1]["all"] is None


def test_three_methods_have_their_known_scores_on_real_judgments(shared, tmp_path):
    splits = [noise(tmp_path / "packed", name, judge_of(shared, name), "human", size=1) for name in SPLITS]
    by_method = {label: distances_of(shared, label) for label in METHODS}
    distances = {
        label: {f"2afc/val/{name}": pair for name, pair in found.items()} for label, found in by_method.items()
    }
    made = make_report(tmp_path, splits, distances, "report.images=none", bootstrap=10, with_differences=False)
    text = html.unescape(made.index.read_text())
    for label, score in (("scratch", "70.04"), ("st-lpips-alex", "69.83"), ("st-lpips-vgg", "70.37")):
        row = re.search(rf'<tr data-label="{label}".*?</tr>', text, re.S)[0]
        assert re.findall(r'<td data-order="([\d.]+)"', row)[0] == score
    assert "On traditional, the data decide 3 of 3 pairs" in text
    assert "On cnn, the data decide 2 of 3 pairs" in text
    for split in ("superres", "deblur", "color", "frameinterp"):
        assert f"On {split}, the data do not decide between any two of the 3 methods." in text
    assert "st-lpips-vgg is better than scratch (0.33 points" in text
