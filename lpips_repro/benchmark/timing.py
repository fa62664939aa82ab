"""Timing by turns: on a machine that is now faster and now slower, every candidate meets the same conditions."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch

# A turn takes at least so long: the clock, and on a GPU the wait for it, then count for nothing.
TURN_SECONDS = 0.1
# However long they take.
LEAST_ROUNDS = 3


class Times(NamedTuple):
    """Seconds of a call: the median over so many rounds; the quartiles tell a quiet machine from a busy one."""

    median: float
    low: float
    high: float
    rounds: int


def rounds(most: int, seconds: float, least: int = LEAST_ROUNDS) -> Iterator[int]:
    """Numbers of rounds: as many as there may be, or fewer when so many seconds have passed, if the least are done."""
    start = time.monotonic()
    for number in range(most):
        if number >= least and time.monotonic() - start > seconds:
            return
        yield number


def alternate(calls: Mapping[str, Callable[[], object]], rounds: Iterable, device: torch.device) -> dict[str, Times]:
    """Time calls by turns, all of them once a round, after a turn that is not counted.

    Args:
        calls: by name; rounds: one for each element; device: waited for before the clock is read.
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
