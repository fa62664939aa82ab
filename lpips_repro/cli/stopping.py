"""Ctrl-C and SIGTERM, which end the work of a command, but not the writing of its results."""

import contextlib
import math
import signal
import time
from collections.abc import Iterator

from lpips_repro.errors import Terminated

# The exit status of a program that a signal ended, and the word for it.
INTERRUPTED, TERMINATED = 130, 143
ENDED = {INTERRUPTED: "interrupted", TERMINATED: "terminated"}
REPEATED = 2.0  # seconds in which another signal is the same request


@contextlib.contextmanager
def heard_once() -> Iterator[None]:
    """A context in which SIGINT raises KeyboardInterrupt and SIGTERM raises Terminated.

    Signals within two seconds of the first one are ignored, so that the results are written although the user presses
    Ctrl-C twice, or a job system signals all processes.
    """
    last = -math.inf

    def end(number: int, _: object) -> None:
        nonlocal last
        if time.monotonic() - last < REPEATED:
            return
        last = time.monotonic()
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
