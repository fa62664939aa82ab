"""All pairs of methods on the page."""

import pytest

from lpips_repro.report.all_pairs import AllPairs, Column
from lpips_repro.report.page.pairs import pair_columns


def with_p(p):
    """A column of two methods with some adjusted p."""
    matrix = [[None, 1.0], [-1.0, None]]
    of_p = [[None, p], [p, None]]
    names = ["a", "b"]
    about = ("2afc", "2AFC", "all", 9, "human", names, names, [70.0, 69.0])
    return Column(*about, matrix, matrix, matrix, of_p, of_p, [(1, 2), (1, 2)], ["a sentence"])


@pytest.mark.parametrize(("p", "decided"), [(0.05, 1), (0.04996, 1), (0.05004, 0)])
def test_a_pair_is_decided_by_p_before_rounding(p, decided):
    (column,) = pair_columns(AllPairs([with_p(p)], [], {}))
    assert column.decided == decided
    assert column.matrix["decided"] == [[False, bool(decided)], [bool(decided), False]]
