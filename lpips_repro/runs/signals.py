"""Handling of SIGTERM and Ctrl-C in a run."""

import contextlib
import logging
import signal
import sys
import time
from collections.abc import Callable, Iterator

from lpips_repro.distributed import Ranks
from lpips_repro.errors import Terminated

log = logging.getLogger(__name__)

# A SIGTERM that is repeated within this time, in seconds, is the same request: `kill -- -GROUP`, SLURM and systemd
# signal all processes, and a program that waits for this one (`make paper`, `make`) passes its signal on.
REPEATED = 2.0


class Stopped(Exception):
    """The run was asked to stop."""


@contextlib.contextmanager
def ended_by_sigterm(said: str = "") -> Iterator[None]:
    """A context in which SIGTERM raises, as Ctrl-C does, so that incomplete results are cleaned up.

    Args:
        said: a line for standard error.
    """

    def end(*_: object) -> None:
        if said:
            print(said, file=sys.stderr)
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def stop_on_signals(ranks: Ranks | None = None) -> Iterator[Callable[..., bool]]:
    """A context in which a run finishes its step and saves its state at SIGTERM or Ctrl-C; a second signal ends it at
    once, except a SIGTERM within two seconds of the first.

    It gives `check_stop(flag=False)`, which all ranks must call. The call raises `Stopped` if a rank received a signal,
    and returns whether the flag is set on any rank. It synchronizes the ranks once.

    Args:
        ranks: the processes that stop together. With several ranks a second signal is ignored: torchrun repeats
            signals, and waits for half a minute before it kills.
    """
    ranks, received, times = ranks or Ranks(), [], []

    def note(number: int, _: object) -> None:
        received.append(number)
        times.append(time.monotonic())
        if len(received) == 1:
            if ranks.first:
                log.warning("%s: the state is saved after this step", signal.Signals(number).name)
        elif ranks.world == 1 and (number != signal.SIGTERM or times[-1] - times[0] > REPEATED):
            for name, handler in before.items():
                signal.signal(name, handler)
            signal.raise_signal(number)

    def check_stop(flag: bool = False) -> bool:
        stop, flag = ranks.any(bool(received), flag)
        if stop:
            raise Stopped
        return flag

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield check_stop
        check_stop()  # for a signal after the last step
    except Stopped:
        if not ranks.first:
            raise Terminated from None
        if received and received[0] == signal.SIGINT:
            raise KeyboardInterrupt from None
        cause = "SIGTERM" if received else "another process received a signal"
        log.warning("%s: the state is saved: the same command resumes the run", cause)
        raise Terminated from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
