import torch

from lpips_repro.benchmark import timing
from lpips_repro.benchmark.timing import Times, alternate, rounds

CPU = torch.device("cpu")


def test_calls_alternate(monkeypatch):
    monkeypatch.setattr(timing, "TURN_SECONDS", 0)
    order = []
    alternate({name: lambda name=name: order.append(name) for name in "abc"}, range(3), CPU)
    assert order == list("abc") * 4  # the first round is not counted


def test_short_calls_are_repeated_within_a_turn(monkeypatch):
    counts = []
    monkeypatch.setattr(timing, "_seconds", lambda call, count, device: counts.append(count) or 0.03)
    monkeypatch.setattr(timing, "TURN_SECONDS", 0.1)
    alternate({"a": lambda: None}, range(2), CPU)
    assert counts == [1, 4, 4]


def test_times_are_median_and_quartiles_of_the_rounds(monkeypatch):
    seconds = iter([9.0, 9.0, 1.0, 10.0, 2.0, 20.0, 100.0, 30.0, 3.0, 40.0, 4.0, 50.0])
    monkeypatch.setattr(timing, "_seconds", lambda *_: next(seconds))
    times = alternate({"a": lambda: None, "b": lambda: None}, range(5), CPU)
    assert times == {"a": Times(3.0, 2.0, 4.0, 5), "b": Times(30.0, 20.0, 40.0, 5)}


def test_rounds_end_when_time_is_up_but_not_before_the_third():
    assert list(rounds(2, 60)) == [0, 1]
    assert list(rounds(7, 0)) == [0, 1, 2]
