import pytest
import torch

from lpips_repro.benchmark import implementations as module
from lpips_repro.benchmark.implementations import Case, Comparison, compare
from lpips_repro.benchmark.rate_table import render
from lpips_repro.benchmark.timing import Times
from lpips_repro.errors import UserError

CPU = torch.device("cpu")
WHAT = Comparison("task", 10, "things/s", net="alex", peer="theirs", floor="bare")


def gives(*values: float):
    return lambda: lambda: torch.tensor(values)


def raises(error: Exception):
    def build():
        raise error

    return build


@pytest.fixture(autouse=True)
def seconds(monkeypatch):
    """Seconds of a call: 1 for ours, 2 for theirs, 0.5 for the bare one."""
    taken = {"ours": 1.0, "theirs": 2.0, "bare": 0.5}

    def alternate(calls, rounds, device):
        list(rounds)
        return {name: Times(s, 0.9 * s, 1.1 * s, 3) for name in calls for s in [taken[name.split()[0]]]}

    monkeypatch.setattr(module, "alternate", alternate)


def test_ours_is_compared_with_the_peer_and_the_floor():
    ours, theirs, bare = compare(
        WHAT,
        [Case("ours", gives(1.0)), Case("theirs", gives(1.0)), Case("bare", lambda: lambda: None)],
        range(3),
        CPU,
    )
    assert (ours.rate, ours.ratio, ours.peer) == (10, 2, "theirs")
    assert (ours.floor, ours.floor_rate, ours.share_of_floor) == ("bare", 20, 0.5)
    assert ours.rate_low < ours.rate < ours.rate_high
    assert (theirs.rate, theirs.ratio, bare.ratio, theirs.repeats) == (5, None, None, 3)


def test_the_counterpart_has_the_same_precision_if_there_is_one():
    def case(name: str, precision: str) -> Case:
        return Case(name, gives(1.0), precision=precision)

    rows = compare(WHAT, [case("ours", "bfloat16"), case("theirs", "float32"), case("bare", "bfloat16")], range(1), CPU)
    assert (rows[0].peer, rows[0].floor) == ("theirs", "bare")


@pytest.mark.parametrize("values", [(1.0, 2.1), (float("nan"), 2.0)])
def test_an_implementation_with_other_values_is_an_error(values):
    cases = [Case("ours", gives(1.0, 2.0)), Case("theirs", gives(*values), tolerance=0.04)]
    with pytest.raises(UserError, match=r"task alex: theirs \(eager, float32\) gives other values than ours"):
        compare(WHAT, cases, range(1), CPU)


def test_values_within_the_tolerance_pass_and_the_row_has_the_difference():
    _, theirs = compare(
        WHAT, [Case("ours", gives(1.0, 2.0)), Case("theirs", gives(1.0, 2.1), tolerance=0.06)], range(1), CPU
    )
    assert theirs.difference == pytest.approx(0.05)


def test_an_implementation_that_cannot_be_run_has_its_reason_and_the_others_are_measured():
    missing = ModuleNotFoundError("no module", name="theirs.functional")
    cases = [
        Case("ours", gives(1.0)),
        Case("ours", raises(UserError("no compiler: install g++")), mode="compiled"),
        Case("theirs", raises(missing)),
    ]
    ours, compiled, theirs = compare(WHAT, cases, range(1), CPU)
    assert ours.rate == 10 and ours.ratio is None
    assert (compiled.rate, compiled.note) == (None, "not run: no compiler: install g++")
    assert theirs.note == "not run: theirs is not installed: pip install -e '.[bench]'"
    text = render([ours, compiled, theirs])
    assert "not run: theirs is not installed" in text and "10 things/s" in text
