import math

import pytest

from lpips_repro.benchmark.commit_processes import CannotRun, measure
from lpips_repro.benchmark.rates_of_commits import Case, Sample, change_of, render

CASE = Case("l2", 10, "pairs/s", 0.01)


class Fake:
    """A process that records its requests, and whose calls take a given time."""

    def __init__(self, name: str, seconds: float, asked: list[str], values=(1.0, 2.0)):
        self.name, self.seconds, self.asked, self.values = name, seconds, asked, list(values)

    def ask(self, request: str, argument: object) -> dict:
        self.asked.append(f"{request} {self.name}")
        if self.values == []:
            raise CannotRun(f"{self.name}: no")
        return {"values": self.values, "seconds": self.seconds}


def change(ratios, difference=0.0):
    return change_of(Sample(CASE, [[(1.0, ratio), (2.0, 2 * ratio)] for ratio in ratios], difference))


def test_processes_alternate_and_take_turns_in_being_first():
    asked, sample = [], Sample(CASE)
    measure(sample, [Fake("a", 1.0, asked), Fake("b", 4.0, asked)], range(2), first=1)
    assert asked == ["build b", "build a", "time b", "time a", "time a", "time b"]
    assert sample.turns == [[(1.0, 4.0), (1.0, 4.0)]]
    measure(sample, [Fake("a", 2.0, asked), Fake("b", 2.0, asked)], range(1), first=2)
    found = change_of(sample)
    assert (found.ratio, found.ratio_low, found.ratio_high, found.starts, found.rounds) == (2.5, 1, 4, 2, 3)
    assert (found.rate_now, found.rate_then) == (10, 2.5)


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [
        ([1.1, 1.2, 1.3, 1.01, 1.5, 2.0], "faster"),
        ([0.99, 0.9, 0.8, 0.7, 0.9, 0.9], "slower"),
        ([1.1, 1.2, 0.99, 1.1, 1.1, 1.1], "same within the spread"),
        ([1.1] * 5, "not judged"),
    ],
)
def test_faster_and_slower_need_every_start(ratios, verdict):
    assert change(ratios).verdict == verdict


def test_a_slow_moment_of_the_machine_does_not_change_the_ratio():
    quiet, busy = (1.0, 1.1), (10.0, 11.0)
    assert change_of(Sample(CASE, [[quiet, busy, busy]] * 6, 0.0)).ratio == pytest.approx(1.1)


@pytest.mark.parametrize("values", [(1.0, 2.1), (1.0, math.nan), (1.0,)])
def test_values_that_differ_are_shown_with_the_rates(values):
    sample = Sample(CASE)
    measure(sample, [Fake("a", 1.0, []), Fake("b", 1.0, [], values)], range(1), 0)
    measure(sample, [Fake("a", 1.0, []), Fake("b", 1.0, [])], range(1), 0)  # equal values later do not hide it
    text = render([change_of(sample)], "abcdef0")
    assert "VALUES DIFFER" in text and "of the largest: expected at most 0.01" in text and "10 pairs/s" in text


def test_values_within_the_tolerance_give_no_note():
    assert change([1.0], 0.009).note == ""
    assert "differ" in change([1.0], 0.011).note


def test_a_case_that_a_tree_cannot_run_has_its_reason():
    sample = Sample(CASE)
    measure(sample, [Fake("a", 1.0, []), Fake("b", 1.0, [], ())], range(1), 0)
    text = render([change_of(sample)], "abcdef0")
    assert "l2 10 eager float32 not run" in " ".join(text.split())
    assert text.endswith("l2 eager float32: not run: b: no")
