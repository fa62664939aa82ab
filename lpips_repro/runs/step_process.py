"""A step of a longer command in a process of its own, which is told to stop exactly once."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from lpips_repro.errors import Terminated

GRACE = 60.0  # seconds for a step to save its state after a signal
TERMINATED = "terminated: completed work is kept, and the same command resumes there"


@contextlib.contextmanager
def step_process(command: Sequence[str], name: str, **streams: Any) -> Iterator[subprocess.Popen[Any]]:
    """A context with the process of a step, which waits for its end.

    The process has its own session, so that Ctrl-C and signals to a process group do not reach it. The first SIGINT,
    SIGTERM or SIGHUP of this process is passed on to it, however many follow. If it does not end within `GRACE`
    seconds, it is killed. Ctrl-Z stops it together with this process.

    Args:
        command: words of the command.
        name: name of the step, for messages.
        streams: arguments of `Popen`, such as `stderr`.

    Raises:
        KeyboardInterrupt, Terminated: if this process received a signal, after the end of the step.
    """
    passing = _Passing(name)
    before = {number: signal.signal(number, passing.note) for number in passing.numbers()}
    try:
        with subprocess.Popen(command, start_new_session=True, **streams) as passing.process:
            try:
                passing.send()
                yield passing.process
            except BaseException:  # such as standard output that was closed
                passing.received = passing.received or signal.SIGTERM
                passing.send()
                raise
            finally:
                passing.process.wait()
    finally:
        passing.killer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
    if passing.received == signal.SIGINT:
        raise KeyboardInterrupt
    if passing.received:
        print(TERMINATED, file=sys.stderr)
        raise Terminated


class _Passing:
    """Passes the first signal of this process on to the process of a step."""

    def __init__(self, name: str):
        self.name = name
        self.process: subprocess.Popen[Any] | None = None
        self.received = self.sent = 0
        self.killer = threading.Timer(GRACE, self._kill)
        self.killer.daemon = True

    @staticmethod
    def numbers() -> list[signal.Signals]:
        """The signals to note. Those that the shell or `nohup` switched off stay off, except SIGINT."""
        others = [
            number
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP)
            if signal.getsignal(number) is not signal.SIG_IGN
        ]
        return [signal.SIGINT, *others]

    def note(self, number: int, _: object) -> None:
        """Handle a signal."""
        if number == signal.SIGTSTP:
            self._pause()
            return
        self.received = self.received or number
        self.send()

    def send(self) -> None:
        """Send the signal that was received, if there is one and it was not sent yet."""
        if self.sent or not self.received or self.process is None:
            return
        self.sent = signal.SIGINT if self.received == signal.SIGINT else signal.SIGTERM
        self.process.send_signal(self.sent)
        self.killer.start()
        with contextlib.suppress(OSError):
            said = f"{signal.Signals(self.received).name}: {self.name} saves its state and ends"
            print(f"{said}, within {GRACE:g} seconds", file=sys.stderr, flush=True)

    def _pause(self) -> None:
        if self.process is not None:
            self._signal_all(signal.SIGSTOP)
            os.kill(os.getpid(), signal.SIGSTOP)
            self._signal_all(signal.SIGCONT)

    def _kill(self) -> None:
        self._signal_all(signal.SIGKILL)
        print(f"{self.name}: did not end within {GRACE:g} seconds: killed", file=sys.stderr, flush=True)

    def _signal_all(self, number: int) -> None:
        """Send a signal to the process of the step and those that it started."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
