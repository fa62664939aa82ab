"""Bars of 2AFC scores."""

import csv
import itertools

import pytest

from lpips_repro.errors import UserError
from lpips_repro.evaluation.tables.table import Row
from lpips_repro.report.figures import read_scores, save_figure, split_bars, twoafc_bars
from lpips_repro.report.figures.bars import CHANCE
from tests.report.figures.tables import METHODS, PAPER_SPLITS, make_rows, paths_of, scale_of, write

SPLITS = ("traditional", "cnn", "superres", "deblur", "color", "frameinterp")


def scores_in_csv(folder):
    with (folder / "scores.csv").open(newline="") as file:
        return {
            f"{line['split']}/{line['label']}": float(line["value"])
            for line in csv.DictReader(file)
            if line["statistic"] == "score" and line["label"] not in ("human", "oracle")
        }


@pytest.mark.parametrize(
    ("draw", "columns"), [(twoafc_bars, ("distortions", "real")), (split_bars, SPLITS)], ids=["figure 4", "figures 7-9"]
)
def test_bars_in_the_svg_have_the_scores_of_the_csv(tmp_path, draw, columns):
    folder = write(tmp_path, make_rows(PAPER_SPLITS))
    _, svg, _ = save_figure(draw(read_scores(folder)), tmp_path, "figure")
    wanted = {name: value for name, value in scores_in_csv(folder).items() if name.partition("/")[0] in columns}
    bars = paths_of(svg)
    assert bars.keys() == wanted.keys()
    for name, corners in bars.items():
        unit, zero = scale_of(svg, columns.index(name.partition("/")[0]))
        ends = [unit * x + zero for x, _ in corners]
        assert (min(ends), max(ends)) == pytest.approx((CHANCE, wanted[name]), abs=0.01)


def test_distortions_are_left_of_real_algorithms_with_ceiling_paper_and_groups(tmp_path):
    figure = twoafc_bars(read_scores(write(tmp_path, make_rows(PAPER_SPLITS))))
    left, right = figure.axes
    assert [panel.get_title(loc="left") for panel in (left, right)] == [
        "distortions (n = 1,234)", "real algorithms (n = 1,234)"
    ]  # fmt: skip
    assert left.get_position().x0 < right.get_position().x0
    for panel, paper in ((left, 70.7), (right, 61.3)):
        lines = [list(line.get_xdata()) for line in panel.lines]
        assert [82.5, 82.5] in lines
        assert [paper] in lines
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["low-level", "random", "supervised", "lpips", "paper", "human"]
    names = [label.get_text() for label in left.get_yticklabels()]
    assert names[-3:] == ["alex lin v0.0", "alex scratch v0.1", "alex tune v0.1"]


def test_groups_differ_without_color():
    from lpips_repro.report.figures.style import COLORS, HATCHES, MARKERS

    assert len(set(MARKERS)) == len(MARKERS)
    plain = [color for color, hatch in zip(COLORS, HATCHES, strict=True) if not hatch]
    assert plain == ["#999999", "#000000"]  # gray and black
    hatched = [hatch for hatch in HATCHES if hatch]
    assert len(set(hatched)) == len(hatched)


def test_data_with_other_splits_have_bars_of_their_mean_and_of_each_split(tmp_path):
    folder = write(tmp_path, make_rows(("mine", "yours", "all")), ("mine", "yours", "all"))
    scores = read_scores(folder)
    assert [panel.get_title(loc="left") for panel in twoafc_bars(scores).axes] == ["all (n = 1,234)"]
    assert [panel.get_title(loc="left") for panel in split_bars(scores).axes] == [
        "mine (n = 1,234)",
        "yours (n = 1,234)",
    ]


def some_rows():
    """Rows without scores, with intervals of NaN, with a missing split, and with a score below chance."""
    rows = make_rows(PAPER_SPLITS)
    rows[1].scores, rows[1].interval, rows[1].note = {}, {}, "not run: no weights"
    rows[2].interval = {column: (float("nan"), float("nan")) for column in PAPER_SPLITS}
    del rows[3].scores["real"], rows[3].interval["real"]
    rows[4].scores = {column: 31.0 for column in PAPER_SPLITS}
    return rows


@pytest.mark.parametrize("rows", [some_rows(), make_rows(PAPER_SPLITS)[:1]], ids=["some missing", "one method"])
@pytest.mark.parametrize("draw", [twoafc_bars, split_bars])
@pytest.mark.parametrize("width", [3.3, 7.0])
def test_missing_scores_and_intervals_are_left_out(tmp_path, rows, draw, width, recwarn):
    figure = draw(read_scores(write(tmp_path, rows)), width)
    assert figure.get_figwidth() == width
    figure.draw_without_rendering()
    assert [str(warning.message) for warning in recwarn] == []
    drawn = {bar.get_gid().partition("/")[2] for panel in figure.axes for bar in panel.patches}
    assert drawn == {row.label for row in rows if row.scores}


def test_bars_below_chance_go_to_the_left(tmp_path):
    rows = [Row("low-level", "worse", scores={"all": 31.0}, observers="human")]
    figure = twoafc_bars(read_scores(write(tmp_path, rows, ("mine", "all"))))
    (bar,) = figure.axes[0].patches
    assert sorted((bar.get_x(), bar.get_x() + bar.get_width())) == [31, 50]
    assert figure.axes[0].get_xlim()[0] < 31


def test_names_of_forty_methods_do_not_overlap(tmp_path):
    methods = [(METHODS[k % 7][0], f"method-{k}", "off_the_shelf", "0.1") for k in range(40)]
    figure = twoafc_bars(read_scores(write(tmp_path, make_rows(PAPER_SPLITS, methods))))
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    tops = sorted((box.y0, box.y1) for box in boxes)
    assert len(tops) == 40
    assert all(below[1] <= above[0] + 1 for below, above in itertools.pairwise(tops))
    assert min(box.x0 for box in boxes) >= 0


def test_the_figure_names_simulated_judgments(tmp_path):
    rows = make_rows(PAPER_SPLITS)
    for row in rows:
        row.observers = "simulated"
    figure = twoafc_bars(read_scores(write(tmp_path, rows)))
    assert "SIMULATED judgments" in figure.get_suptitle()


def test_no_score_is_an_error(tmp_path):
    row = Row("low-level", "l2", note="not run", observers="human")
    scores = read_scores(write(tmp_path, [row]))
    for draw in (twoafc_bars, split_bars):
        with pytest.raises(UserError, match="no method has a 2AFC score"):
            draw(scores)
