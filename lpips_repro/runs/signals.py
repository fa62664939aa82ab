"""What SIGTERM and Ctrl-C do to a run."""

import contextlib
import logging
import signal
from collections.abc import Callable, Iterator

from lpips_repro.distributed import Ranks
from lpips_repro.errors import Terminated

log = logging.getLogger(__name__)


class Stopped(Exception):
    """The run was asked to stop."""


@contextlib.contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM raise, as Ctrl-C does: what is half-made goes, and what is complete stays."""

    def end(*_: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def stop_on_signals(ranks: Ranks | None = None) -> Iterator[Callable[..., bool]]:
    """While inside, SIGTERM and Ctrl-C let the step be finished and the state be saved; a second one does not wait.

    Gives `check_stop(flag=False)`, which all ranks call alike: it raises `Stopped` if one of them was told to stop, and
    returns whether the flag is set on one of them. That is one meeting of the ranks.

    Args:
        ranks: the processes that stop together, whichever is told to. What torchrun tells again, it does not mean as a
            second one: it waits for half a minute before it kills.
    """
    ranks, received = ranks or Ranks(), []

    def note(number: int, _: object) -> None:
        received.append(number)
        for name, handler in before.items():
            signal.signal(name, handler if ranks.world == 1 else signal.SIG_IGN)
        if ranks.first:
            log.warning("%s: the state is saved after this step", signal.Signals(number).name)

    def check_stop(flag: bool = False) -> bool:
        stop, flag = ranks.any(bool(received), flag)
        if stop:
            raise Stopped
        return flag

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield check_stop
        check_stop()  # for one that came after the last step
    except Stopped:
        if not ranks.first:
            raise Terminated from None
        if received and received[0] == signal.SIGINT:
            raise KeyboardInterrupt from None
        log.warning("SIGTERM: the state is saved, and the same command goes on from there")
        raise Terminated from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
