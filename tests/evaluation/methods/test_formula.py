"""Scores of judgments by formula, worked out in fractions, from the functions up to the tables."""

import csv
from fractions import Fraction

import pytest

from lpips_repro.evaluation import human_twoafc, jnd_map, oracle_twoafc, twoafc_score
from lpips_repro.evaluation.run import evaluate
from tests.compose import settings
from tests.generated import judged_pairs, judged_triplets, write_judged

# Each share k/5 is that of a sixth of the triplets.
HUMAN = Fraction(sum(k**2 + (5 - k) ** 2 for k in range(6)), 6 * 25)
ORACLE = Fraction(sum(max(k, 5 - k) for k in range(6)), 6 * 5)


def twoafc_by_hand() -> Fraction:
    credit = {True: lambda votes: Fraction(votes, 5), False: lambda votes: 1 - Fraction(votes, 5)}
    found = [Fraction(1, 2) if d0 == d1 else credit[d1 < d0](votes) for d0, d1, votes in judged_triplets()]
    return sum(found) / len(found)


def jnd_by_hand() -> Fraction:
    same = [Fraction(votes, 3) for _, votes in sorted(judged_pairs())]
    precision = [sum(same[: k + 1]) / (k + 1) for k in range(len(same))]
    return sum(share * max(precision[k:]) for k, share in enumerate(same)) / sum(same)


def test_the_figures_worked_out_are_these():
    found = (HUMAN, ORACLE, twoafc_by_hand(), jnd_by_hand())
    assert found == (Fraction(11, 15), Fraction(4, 5), Fraction(33, 70), Fraction(14995, 24596))


def test_scores_of_judgments_by_formula():
    d0, d1, votes = zip(*judged_triplets(), strict=True)
    judge = [v / 5 for v in votes]
    assert human_twoafc(judge) == pytest.approx(HUMAN, abs=1e-12)
    assert oracle_twoafc(judge) == pytest.approx(ORACLE, abs=1e-12)
    assert twoafc_score(d0, d1, judge) == pytest.approx(twoafc_by_hand(), abs=1e-12)
    distance, votes = zip(*judged_pairs(), strict=True)
    assert jnd_map(distance, [v / 3 for v in votes]) == pytest.approx(jnd_by_hand(), abs=1e-12)


def test_the_tables_of_such_a_dataset(tmp_path):
    write_judged(tmp_path / "data")
    where = (f"data.root={tmp_path}/data", f"data.packed={tmp_path}/packed", f"experiments={tmp_path}/experiments")
    evaluate(settings("evaluate", "data=folder", *where, "metric=[l2_rgb]", "net=[]", "bootstrap=20", "data.workers=1"))
    rows = {}
    for kind in ("twoafc", "jnd"):
        with (tmp_path / f"experiments/tables-folder/{kind}.csv").open(newline="") as file:
            rows |= {(kind, row["method"]): row for row in csv.DictReader(file)}
    wanted = {("twoafc", "oracle"): ORACLE, ("twoafc", "l2-rgb"): twoafc_by_hand(), ("jnd", "l2-rgb"): jnd_by_hand()}
    for key, score in wanted.items():
        assert rows[key]["flat"] == rows[key]["all"] == f"{100 * float(score):.2f}"
