"""Alternating timing: if the speed of the machine varies, it varies for all candidates."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch

# Shortest time of a turn: the time to read the clock, and to wait for a GPU, is then negligible.
TURN_SECONDS = 0.1
# Number of rounds that are run even if time is up.
LEAST_ROUNDS = 3


class Times(NamedTuple):
    """Seconds of a call: median and quartiles over some rounds. On a busy machine the quartiles are far apart."""

    median: float
    low: float
    high: float
    rounds: int


def rounds(most: int, seconds: float, least: int = LEAST_ROUNDS) -> Iterator[int]:
    """Yield the numbers of rounds: at most `most`; after `seconds` no more, except for the first `least`."""
    start = time.monotonic()
    for number in range(most):
        if number >= least and time.monotonic() - start > seconds:
            return
        yield number


def alternate(calls: Mapping[str, Callable[[], object]], rounds: Iterable, device: torch.device) -> dict[str, Times]:
    """Time calls alternating: every call has one turn per round. A first turn of each is not counted.

    Args:
        calls: functions by name.
        rounds: one element per round.
        device: a GPU is synchronized before the clock is read.
    """
    turns = {name: max(1, math.ceil(TURN_SECONDS / _seconds(call, 1, device))) for name, call in calls.items()}
    times = [[_seconds(call, turns[name], device) for name, call in calls.items()] for _ in rounds]
    quartiles = np.percentile(times, [50, 25, 75], axis=0).T
    return {
        name: Times(float(median), float(low), float(high), len(times))
        for name, (median, low, high) in zip(calls, quartiles, strict=True)
    }


def _seconds(call: Callable[[], object], count: int, device: torch.device) -> float:
    _wait(device)
    start = time.perf_counter()
    for _ in range(count):
        call()
    _wait(device)
    return (time.perf_counter() - start) / count


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
