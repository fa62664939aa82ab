"""All pairs of methods, against differences.csv, values by hand, and the rules of ranks."""

import csv

import numpy as np
import pytest

from lpips_repro.errors import UserError
from lpips_repro.evaluation.protocols import PROTOCOLS
from lpips_repro.evaluation.protocols.jnd import JND
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.evaluation.tables.differences import differences_of
from lpips_repro.evaluation.tables.writer import write_tables
from lpips_repro.report.all_pairs import all_pairs, ranks_of, write_all_pairs
from tests.evaluation.tables.test_differences import random_methods, split_of, table_of

COUNT = 300
VOTES = np.random.default_rng(1).integers(0, 6, COUNT) / 5


def written(tmp_path, distances, protocol=TWOAFC, votes=VOTES):
    """The table and resamples of methods on one split, in files, too."""
    split = split_of(tmp_path, "one", votes, protocol)
    made = table_of(tmp_path, [split], distances, protocol)
    write_tables(tmp_path / "tables", [made[0]])
    return split, made


def pairs(tmp_path, *splits):
    return all_pairs(
        tmp_path / "tables", lambda kind: [split for split in splits if split.card["kind"] == kind], tmp_path
    )


def graded(protocol=TWOAFC):
    """Methods from the best to the worst; "twice" is "a" with other numbers."""
    rng = np.random.default_rng(2)
    noise = rng.normal(size=(4, COUNT))
    of = {}
    for label, weight, own in zip("abcd", (1e9, 5, 0.5, -1e9), noise, strict=True):
        nearness = weight * (VOTES - 0.5) + own
        of[label] = {"one": np.stack([nearness, 1 - nearness] if len(protocol.distances) == 2 else [-nearness])}
    of["twice"] = {"one": 2 * of["a"]["one"]}
    return of


@pytest.mark.parametrize("protocol", [TWOAFC, JND])
def test_differences_intervals_and_p_are_those_of_differences_csv(tmp_path, protocol):
    split, made = written(tmp_path, graded(protocol), protocol)
    found = {column.name: column for column in pairs(tmp_path, split).columns if column.kind == protocol.name}
    assert [*found] == ["one", "all"]
    for one in differences_of(*made, "b"):
        column = found[one.split]
        at = column.methods.index(one.label), column.methods.index("b")
        numbers = [matrix[at[0]][at[1]] for matrix in (column.difference, column.low, column.high, column.p)]
        assert numbers == pytest.approx([one.difference, one.low, one.high, one.p], abs=1e-9)
        back = [matrix[at[1]][at[0]] for matrix in (column.difference, column.low, column.high, column.p)]
        assert back == pytest.approx([-one.difference, -one.high, -one.low, one.p], abs=1e-9)


def test_holm_counts_all_pairs_of_a_column(tmp_path):
    split, _ = written(tmp_path, random_methods("abcd", COUNT))
    column = pairs(tmp_path, split).columns[0]
    upper = np.triu_indices(4, 1)
    p, adjusted = (np.array(matrix, float)[upper] for matrix in (column.p, column.p_holm))
    order, wanted = np.argsort(p), 0.0
    for place, at in enumerate(order):
        wanted = max(wanted, min(1, (6 - place) * p[at]))
        assert adjusted[at] == pytest.approx(wanted)


def test_methods_are_in_the_order_of_their_scores_and_equal_ones_are_not_decided(tmp_path):
    split, _ = written(tmp_path, graded())
    column = pairs(tmp_path, split).columns[0]
    assert column.methods[:2] == ["a", "twice"] and column.methods[2:] == ["b", "c", "d"]
    assert column.scores == sorted(column.scores, reverse=True)
    assert (column.p[0][1], column.p_holm[0][1], column.difference[0][1]) == (1, 1, 0)
    assert column.p[0][0] is column.difference[0][0] is None
    assert column.ranks == [(1, 2), (1, 2), (3, 3), (4, 4), (5, 5)]


def test_the_least_is_the_best_likelihood(tmp_path):
    split, _ = written(tmp_path, graded(), PROTOCOLS["2afc-likelihood"])
    column = pairs(tmp_path, split).columns[0]
    assert column.methods[-1] == "c" and column.ranks[-1] == (5, 5)  # what "d" says is turned around by the fit
    assert column.scores == sorted(column.scores)
    assert "points" not in column.sentences[1]


def test_ranks_are_those_that_the_decided_pairs_allow():
    """a is better than c and d, b than d: a may be 1 or 2, b 1 to 3, c 2 to 4, d 3 or 4."""
    better = [
        [False, False, True, True],
        [False, False, False, True],
        [False, False, False, False],
        [False, False, False, False],
    ]
    assert ranks_of(better) == [(1, 2), (1, 3), (2, 4), (3, 4)]
    assert ranks_of([[False]]) == [(1, 1)]


def test_rows_that_cannot_be_compared_are_left_out_with_the_reason(tmp_path, caplog):
    split, _ = written(tmp_path, random_methods("abc", COUNT) | {"absent": {}})
    (tmp_path / "distances-a/2afc-val-one.csv").unlink()
    file = tmp_path / "distances-b/2afc-val-one.csv"
    file.write_text("\n".join(["index,d0,d1", *(f"{index},0.5,0.1" for index in range(COUNT))]))
    found = pairs(tmp_path, split)
    assert [column.methods for column in found.columns] == [["c"], ["c"]]
    left_out = found.left_out["2afc"]
    assert "2afc-val-one.csv" in left_out["absent"] and "2afc-val-one.csv" in left_out["a"]
    assert left_out["b"] == ("b: the distances are no longer those of the score on one: run `make eval-tables` again")
    assert left_out["b"] in caplog.text
    (column, _) = found.columns
    assert column.ranks == [(1, 1)]
    assert column.sentences == ["On one, c is the only method with a score and stored distances."]


def test_simulated_judgments_are_said_to_be(tmp_path):
    split, (table, _) = written(tmp_path, random_methods("ab", COUNT))
    for row in table.rows:
        row.observers = "simulated"
    write_tables(tmp_path / "tables", [table])
    for column in pairs(tmp_path, split).columns:
        assert column.observers == "simulated" and "SIMULATED" in column.sentences[0]


def test_the_files_have_each_pair_once_and_the_ranks(tmp_path):
    split, _ = written(tmp_path, graded())
    found = pairs(tmp_path, split)
    for file in write_all_pairs(tmp_path / "report", found):
        assert file.is_file()
    with (tmp_path / "report/all_pairs.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    of_one = {(line["label"], line["baseline"]): line for line in lines if line["split"] == "one"}
    assert len(of_one) == 10 and len(lines) == 20
    column = found.columns[0]
    at = column.methods.index("a"), column.methods.index("d")
    assert of_one["a", "d"]["difference"] == f"{column.difference[at[0]][at[1]]:.3f}"
    assert of_one["a", "d"]["p_holm"] == f"{column.p_holm[at[0]][at[1]]:.3g}"
    with (tmp_path / "report/ranks.csv").open(newline="") as file:
        ranks = [line for line in csv.DictReader(file) if line["split"] == "one"]
    assert [(line["label"], line["best_rank"], line["worst_rank"], line["of"]) for line in ranks][2:4] == [
        ("b", "3", "3", "5"),
        ("c", "4", "4", "5"),
    ]
    assert ranks[0]["score"] == f"{column.scores[0]:.2f}"


def test_without_any_stored_distances_the_reason_is_said(tmp_path):
    split, _ = written(tmp_path, random_methods("a", COUNT))
    (tmp_path / "tables/twoafc.csv").unlink()
    with pytest.raises(UserError, match=r"twoafc.csv: no such table: run `make eval-tables` first"):
        pairs(tmp_path, split)
