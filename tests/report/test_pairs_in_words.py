import pytest

from lpips_repro.evaluation.protocols import PROTOCOLS
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.report.pairs_in_words import sentences_of


def sentences(names, decided, *, differences=None, p=0.003, observers="human", column="superres", protocol=TWOAFC):
    """The sentences of methods in the order of their scores, given the decided pairs."""
    of = differences or {}
    difference = [[of.get(one + other, 1.2) for other in names] for one in names]
    better = [[one + other in decided for other in names] for one in names]
    p_holm = [[p] * len(names)] * len(names)
    return sentences_of(protocol, column, observers, names, difference, p_holm, better)


def test_decided_pairs_have_the_difference_and_p_and_the_others_are_named():
    assert sentences("ABC", {"AB", "AC"}) == [
        "On superres, the data decide 2 of 3 pairs (p is adjusted for all of them).",
        "On superres, A is better than B (1.20 points, p = .003) and C (1.20 points, p = .003).",
        "On superres, between B and C the data do not decide.",
    ]
    assert sentences("ABC", {"AC"})[1] == (
        "On superres, A is better than C (1.20 points, p = .003); between A and B the data do not decide."
    )


def test_several_undecided_pairs_of_a_method_are_one_sentence():
    assert sentences("ABCD", {"BD"})[1] == "On superres, between A and each of B, C and D the data do not decide."


@pytest.mark.parametrize(("names", "which"), [("AB", "the two methods"), ("ABC", "any two of the 3 methods")])
def test_a_column_without_decided_pairs_has_one_sentence(names, which):
    assert sentences(names, set()) == [f"On superres, the data do not decide between {which}."]


def test_a_column_with_one_method_has_one_sentence():
    assert sentences("A", set()) == ["On superres, A is the only method with a score and stored distances."]


def test_averages_small_p_and_other_units_have_their_own_text():
    assert sentences("AB", {"AB"}, column="all", p=1e-5)[1] == (
        "On the mean of all splits, A is better than B (1.20 points, p < .001)."
    )
    likelihood = PROTOCOLS["2afc-likelihood"]
    (_, sentence) = sentences("AB", {"AB"}, differences={"AB": -0.01234}, protocol=likelihood)
    assert f"({0.01234:.{likelihood.shown}f}, p = .003)" in sentence


def test_long_lists_are_cut_short():
    names = [f"m{k}" for k in range(60)]
    found = sentences(names, {f"m0m{k}" for k in range(1, 60)})
    assert found[1].endswith("m3 (1.20 points, p = .003) and 56 others.")
    assert len(sentences(names[:5], {f"m0m{k}" for k in range(1, 5)})[1].split("m")) == 6  # all four are named


@pytest.mark.parametrize("observers", ["simulated", "unknown"])
def test_the_first_sentence_names_observers_that_are_not_human(observers):
    assert sentences("AB", set(), observers=observers)[0].startswith("Judgments: ")
