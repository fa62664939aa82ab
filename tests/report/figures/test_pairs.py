"""The figure of all pairs has the differences and ranks of the data."""

import pytest

from lpips_repro.errors import UserError
from lpips_repro.report.all_pairs import Column
from lpips_repro.report.figures import pairs_matrix

DIFFERENCE = [[None, 1.234, 2.5], [-1.234, None, 1.266], [-2.5, -1.266, None]]
P = [[None, 0.2, 0.01], [0.2, None, 0.06], [0.01, 0.06, None]]
RANKS = [(1, 2), (1, 3), (2, 3)]  # only the pair of the first and the last is decided


def column(names="abc", observers="human", **more):
    count = len(names)
    empty = [[None] * count] * count
    matrices = {"difference": DIFFERENCE, "low": empty, "high": empty, "p": P, "p_holm": P}
    about = {"kind": "2afc", "title": "2AFC score (%)", "name": "all", "n": 9, "observers": observers}
    rows = {"methods": [*names], "shown": [f"method {name}" for name in names], "scores": [70.0] * count}
    return Column(**about | rows | matrices | {"ranks": RANKS[:count], "sentences": []} | more)


def test_a_cell_has_the_difference_and_is_dark_if_the_pair_is_decided():
    matrix, ranks = pairs_matrix(column()).axes
    dark = {patch.get_gid(): sum(patch.get_facecolor()[:3]) < 1.5 for patch in matrix.patches}
    assert dark == {"a/b": False, "a/c": True, "b/c": False}
    assert [text.get_text() for text in matrix.texts] == ["1.23", "2.50", "1.27"]
    assert [text.get_text() for text in matrix.get_yticklabels()] == ["method a  1", "method b  2", "method c  3"]
    ends = [[*line.get_xdata()] for line in ranks.lines if len(line.get_xdata()) == 2]
    assert ends == [[1, 2], [1, 3], [2, 3]]


def test_many_methods_have_a_cell_without_number_per_pair():
    names, empty = [f"m{k}" for k in range(60)], [[None] * 60] * 60
    many = column(names, difference=empty, p_holm=empty, ranks=[(1, 60)] * 60)
    figure = pairs_matrix(many)
    figure.draw_without_rendering()
    matrix, _ = figure.axes
    assert len(matrix.patches) == 60 * 59 / 2 and not matrix.texts


def test_the_figure_names_simulated_judgments_and_one_method_is_an_error():
    assert "SIMULATED" in pairs_matrix(column(observers="simulated")).get_suptitle()
    with pytest.raises(UserError, match="expected two or more methods with stored distances"):
        pairs_matrix(column(methods=["a"], shown=["a"]))
