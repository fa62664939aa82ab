"""A step in its own process gets one request to stop, whoever sends how many."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from lpips_repro.errors import Terminated
from lpips_repro.runs import step_process as module
from lpips_repro.runs.signals import ended_by_sigterm
from lpips_repro.runs.step_process import step_process

# Counts the signals that it gets after it has sent some to its parent or to all processes of its parent's group.
STEP = """
import os, pathlib, signal, sys, time
received = []
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda number, _: received.append(signal.Signals(number).name))
for _ in range({times}):
    os.kill(os.getppid(), signal.{sent})
end = time.monotonic() + 5
while len(received) < {wanted} and time.monotonic() < end:
    time.sleep(0.01)
time.sleep(0.1)
print(*received, flush=True)
"""


def run(code):
    """Run a step; return what it printed and its process."""
    said, process = "", None
    try:
        with step_process([sys.executable, "-c", code], "train", stdout=subprocess.PIPE, text=True) as process:
            said = process.stdout.read()
    except (KeyboardInterrupt, Terminated) as error:
        return said, process, type(error)
    return said, process, None


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize(
    ("sent", "passed", "raised"),
    [
        ("SIGINT", "SIGINT", KeyboardInterrupt),
        ("SIGTERM", "SIGTERM", Terminated),
        ("SIGHUP", "SIGTERM", Terminated),  # of a terminal that is closed
    ],
)
def test_signals_of_this_process_reach_a_step_once(capsys, sent, passed, raised, times):
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    said, process, error = run(STEP.format(times=times, sent=sent, wanted=1))
    assert (said, error, process.returncode) == (f"{passed}\n", raised, 0)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == handlers
    printed = capsys.readouterr().err
    assert printed.startswith(f"{sent}: train saves its state and ends, within 60 seconds\n")
    assert ("the same command resumes" in printed) == (raised is Terminated)  # Ctrl-C has its line in `entry_point`


def test_a_signal_to_the_group_of_a_terminal_reaches_a_step_once(tmp_path):
    def leader():
        os.setsid()
        code = STEP.format(times=1, sent="SIGINT", wanted=1).replace("getppid()", "getppid() * -1")
        said, _, error = run(code)
        (tmp_path / "said").write_text(f"{said.strip()} {error.__name__}")

    process = multiprocessing.get_context("fork").Process(target=leader)
    process.start()
    process.join()
    assert (tmp_path / "said").read_text() == "SIGINT KeyboardInterrupt"


def test_a_step_that_does_not_end_is_killed_with_its_own_processes(capfd, monkeypatch):
    monkeypatch.setattr(module, "GRACE", 0.3)
    worker = "import subprocess; child = subprocess.Popen(['sleep', '60']); print(child.pid, flush=True)\n"
    worker += "import time; time.sleep(0.1)\n"  # the reader is blocked again

    said, process, error = run(worker + STEP.format(times=1, sent="SIGTERM", wanted=99))
    assert (process.returncode, error) == (-signal.SIGKILL, Terminated)
    assert "train: did not end within 0.3 seconds: killed" in capfd.readouterr().err
    with pytest.raises(ProcessLookupError):
        for _ in range(100):  # until init has reaped it
            os.kill(int(said), 0)
            time.sleep(0.05)


def test_ctrl_z_stops_a_step_and_its_continuation_continues_it(monkeypatch):
    sent = []
    monkeypatch.setattr(os, "kill", lambda *target: sent.append("itself"))
    monkeypatch.setattr(os, "killpg", lambda group, number: sent.append(signal.Signals(number).name))
    with step_process(["true"], "train"):
        signal.raise_signal(signal.SIGTSTP)
    assert sent == ["SIGSTOP", "itself", "SIGCONT"]


def test_an_error_of_the_reader_ends_the_step():
    with pytest.raises(BrokenPipeError), step_process(["sleep", "60"], "train") as process:
        raise BrokenPipeError
    assert process.returncode == -signal.SIGTERM


def test_a_signal_between_two_steps_says_how_to_resume(capsys):
    with pytest.raises(Terminated), ended_by_sigterm(said="the same command resumes"):
        signal.raise_signal(signal.SIGTERM)
    assert capsys.readouterr().err == "the same command resumes\n"
