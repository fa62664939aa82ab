"""Rows of the tables: how they are called."""

import pytest

from lpips_repro.evaluation.protocols import PROTOCOLS
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.evaluation.tables.table import Bootstrap, Row, Table, observer_rows
from lpips_repro.evaluation.tables.writer import terminal_table
from tests.evaluation.tables.test_bootstrap import packed


@pytest.mark.parametrize(
    ("seed", "origin", "shown"),
    [
        ("", "", "alex off the shelf v0.1"),
        ("", "made here from 90 crops", "alex off the shelf v0.1 (made here from 90 crops)"),
        ("0", "", "alex off the shelf v0.1"),
        ("3", "trained here", "alex off the shelf v0.1 (trained here, seed 3)"),
        ("0 1 2", "trained here", "alex off the shelf v0.1 (trained here, 3 seeds)"),
        ("0 1 2", "", "alex off the shelf v0.1 (3 seeds)"),
    ],
)
def test_a_row_is_called_by_its_origin_and_seeds_if_it_has_any(seed, origin, shown):
    assert Row("lpips", "alex", "off_the_shelf", "0.1", seed=seed, origin=origin).shown == shown


@pytest.mark.parametrize(
    ("protocol", "observers", "names"),
    [
        ("2afc", "human", ["human", "oracle"]),
        ("2afc", "simulated", ["simulated-observer", "oracle"]),
        ("2afc-likelihood", "human", ["oracle", "chance"]),
    ],
)
def test_rows_of_observers_say_who_they_are(tmp_path, protocol, observers, names):
    splits = [packed(tmp_path, "one", observers=observers)]
    rows = observer_rows(splits, Bootstrap(PROTOCOLS[protocol], splits, 10, 0), {})
    assert [row.method for row in rows] == names


def test_the_papers_figure_and_the_difference_are_those_of_the_last_column():
    row = Row("low-level", "ssim", scores={"cnn": 50.0, "all": 64.0}, paper={"cnn": 11.1, "all": 63.2})
    text = terminal_table(Table(TWOAFC, [row], ("cnn", "all"), {"cnn": 4, "all": 4}, "", True))
    assert "63.2" in text and "+0.80" in text
    assert "11.1" not in text
