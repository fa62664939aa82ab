import pytest

from lpips_repro.evaluation.protocols import PROTOCOLS
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.report.pairs_in_words import sentences_of


def said(names, decided, *, differences=None, p=0.003, observers="human", column="superres", protocol=TWOAFC):
    """The sentences of methods in the order of their scores, given the pairs that are decided."""
    of = differences or {}
    difference = [[of.get(one + other, 1.2) for other in names] for one in names]
    better = [[one + other in decided for other in names] for one in names]
    p_holm = [[p] * len(names)] * len(names)
    return sentences_of(protocol, column, observers, names, difference, p_holm, better)


def test_what_is_decided_has_the_difference_and_p_and_what_is_not_is_named():
    assert said("ABC", {"AB", "AC"}) == [
        "On superres, the data decide 2 of 3 pairs (p is adjusted for all of them).",
        "On superres, A is better than B (1.20 points, p = .003) and C (1.20 points, p = .003).",
        "On superres, between B and C the data do not decide.",
    ]
    assert said("ABC", {"AC"})[1] == (
        "On superres, A is better than C (1.20 points, p = .003); between A and B the data do not decide."
    )


def test_several_open_pairs_of_a_method_are_one_sentence():
    assert said("ABCD", {"BD"})[1] == "On superres, between A and each of B, C and D the data do not decide."


@pytest.mark.parametrize(("names", "which"), [("AB", "the two methods"), ("ABC", "any two of the 3 methods")])
def test_a_column_in_which_nothing_is_decided_is_one_sentence(names, which):
    assert said(names, set()) == [f"On superres, the data do not decide between {which}."]


def test_one_method_is_compared_with_none():
    assert said("A", set()) == ["On superres, A is the only method with a score and stored distances."]


def test_averages_are_named_and_small_p_and_other_units_are_written_as_they_are():
    assert said("AB", {"AB"}, column="all", p=1e-5)[1] == (
        "On the mean of all splits, A is better than B (1.20 points, p < .001)."
    )
    likelihood = PROTOCOLS["2afc-likelihood"]
    (_, sentence) = said("AB", {"AB"}, differences={"AB": -0.01234}, protocol=likelihood)
    assert f"({0.01234:.{likelihood.shown}f}, p = .003)" in sentence


def test_long_lists_are_cut_short():
    names = [f"m{k}" for k in range(60)]
    sentences = said(names, {f"m0m{k}" for k in range(1, 60)})
    assert sentences[1].endswith("m3 (1.20 points, p = .003) and 56 others.")
    assert len(said(names[:5], {f"m0m{k}" for k in range(1, 5)})[1].split("m")) == 6  # all four are named


@pytest.mark.parametrize("observers", ["simulated", "unknown"])
def test_judgments_of_no_people_are_said_first(observers):
    assert said("AB", set(), observers=observers)[0].startswith("Judgments: ")
