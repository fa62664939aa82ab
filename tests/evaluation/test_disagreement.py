"""Triplets on which two methods disagree: which they are, and in which order."""

import dataclasses

import numpy as np
import pytest

from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.errors import UserError
from lpips_repro.evaluation import Evaluation, disagreements
from lpips_repro.evaluation.disagreement import flips_on
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from tests.datasets.folders import noise_split


def evaluations(tmp_path, votes, **margins):
    """Two methods, given by how much farther p0 is than p1."""
    split = noise_split(tmp_path / "split", len(votes), (8, 8))
    split = PackedSplit(split.path, split.card, {**split.arrays, "judge": np.float32(votes)})
    return [
        Evaluation(
            label, split, TWOAFC, 0.5, (0.4, 0.6), {"d0": 5 + np.asarray(margin), "d1": np.full(len(votes), 5.0)}
        )
        for label, margin in margins.items()
    ]


def test_by_hand(tmp_path):
    #        a right  b right  both right  both wrong  nobody knows  a ties
    votes = [1.0, 0.2, 1.0, 0.0, 0.5, 1.0]
    a = [4.0, 2.0, 1.0, 3.0, 5.0, 0.0]
    b = [-0.1, -0.2, 0.3, 0.6, -0.5, 0.4]
    found = disagreements(*evaluations(tmp_path, votes, a=a, b=b))
    # Decisions: the rank of |margin| among the six; 0 for a tie.
    assert [(one.index, one.better, round(one.strength, 6)) for one in found] == [
        (3, "neither", round((4 / 6 + 6 / 6) / 2, 6)),
        (0, "a", round((5 / 6 + 1 / 6) / 2, 6)),
        (5, "b", round((0 + 4 / 6) / 2, 6)),
        (1, "b", round(0.6 * (3 / 6 + 2 / 6) / 2, 6)),
    ]
    first = next(one for one in found if one.index == 0)
    assert (first.split, first.judge, first.observers, first.files) == ("2afc/val/noise", 1.0, "simulated", {})
    one, other = first.answers
    assert (one.label, one.d0, one.d1, one.verdict, one.credit) == ("a", 9.0, 5.0, "p1", 1.0)
    assert (other.label, other.verdict, other.credit) == ("b", "p0", 0.0)
    assert next(one for one in found if one.index == 5).answers[0].verdict == "tie"


def test_flips_are_all_triplets_with_other_verdicts_whatever_the_votes_say(tmp_path):
    #        a right  b right  both right  both wrong  nobody knows  a ties
    votes = [1.0, 0.2, 1.0, 0.0, 0.5, 1.0]
    one, other = evaluations(tmp_path, votes, a=[4.0, 2.0, 1.0, 3.0, 5.0, 0.0], b=[-0.1, -0.2, 0.3, 0.6, -0.5, 0.4])
    found = flips_on(one.split, {"a": one.distances, "b": other.distances})
    assert [(flip.index, flip.better) for flip in found] == [(0, "a"), (5, "b"), (1, "b"), (4, "neither")]
    assert [[answer.verdict for answer in flip.answers] for flip in found][1:3] == [["tie", "p1"], ["p1", "p0"]]
    assert flips_on(one.split, {"a": one.distances, "twin": one.distances}) == []


def test_the_scale_of_a_method_changes_nothing(tmp_path):
    rng = np.random.default_rng(0)
    votes, a, b = rng.integers(0, 6, 50) / 5, rng.normal(size=50), rng.normal(size=50)
    plain = disagreements(*evaluations(tmp_path / "1", votes, a=a, b=b))
    scaled = disagreements(*evaluations(tmp_path / "2", votes, a=1e-3 * a, b=100 * b))
    assert [(one.index, one.strength) for one in plain] == [(one.index, one.strength) for one in scaled]
    assert [one.strength for one in plain] == sorted((one.strength for one in plain), reverse=True)
    assert all(0 < one.strength <= 1 for one in plain)
    assert [one.index for one in disagreements(*evaluations(tmp_path / "3", votes, a=a, b=b), most=3)] == [
        one.index for one in plain[:3]
    ]


def test_the_same_distances_agree_but_where_both_are_against_the_votes(tmp_path):
    found = disagreements(*evaluations(tmp_path, [1.0, 0.0, 0.4], a=[1.0, 1.0, -2.0], b=[1.0, 1.0, -2.0]))
    assert [(one.index, one.better) for one in found] == [(1, "neither")]


@pytest.mark.filterwarnings("error")
def test_infinite_distances_have_their_place(tmp_path):
    """As those of PSNR of equal images, whose distance is minus infinity."""
    one, other = evaluations(tmp_path, [1.0, 0.0], a=[1.0, -1.0], b=[1.0, -1.0])
    infinite = {"d0": np.array([-np.inf, -np.inf]), "d1": np.array([-np.inf, 3.0])}
    found = disagreements(dataclasses.replace(one, distances=infinite), other)
    assert [(each.index, each.better) for each in found] == [(0, "b")]


def test_other_data_and_one_label_are_refused(tmp_path):
    one, other = evaluations(tmp_path / "one", [1.0, 0.0], a=[1.0, 2.0], b=[1.0, 2.0])
    (elsewhere,) = evaluations(tmp_path / "two", [1.0, 0.0, 1.0], c=[1.0, 2.0, 3.0])
    with pytest.raises(UserError, match="a ran on 2afc/val/noise, c on 2afc/val/noise: expected"):
        disagreements(one, elsewhere)
    with pytest.raises(UserError, match="two methods have this label: give one of them another name"):
        disagreements(one, dataclasses.replace(other, label="a"))
    pairs = PackedSplit(one.split.path, one.split.card | {"kind": "jnd"}, one.split.arrays)
    with pytest.raises(UserError, match="not a packed 2AFC split"):
        disagreements(dataclasses.replace(one, split=pairs), dataclasses.replace(other, split=pairs))
