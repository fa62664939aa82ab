"""Processes with small training runs, for tests that kill, stop and compare them."""

import contextlib
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch

from tests.compose import CONFIGS

REPOSITORY = CONFIGS.parent
PATIENCE = 120  # seconds, for a busy machine
# Environment of processes that torchrun starts: they find each other without a network.
NETWORK = {"PYTHONPATH": str(REPOSITORY), "GLOO_SOCKET_IFNAME": "lo"}


def ended_process() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@contextlib.contextmanager
def started(command: Sequence[str], output: Path, **environment: str) -> Iterator[subprocess.Popen]:
    """A context with a process in its own session, in the repository, on one thread. At the end, it is killed.

    Args:
        command: the words of its command.
        output: the file for its output.
        environment: variables in addition to those of this process.
    """
    output.parent.mkdir(exist_ok=True)
    with output.open("w") as file:
        process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def children(parent: int, word: str) -> list[int]:
    """The ids of the processes that a process started and whose command contains a word."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # the process may have ended meanwhile
            child = f"\nPPid:\t{parent}\n" in (folder / "status").read_text()
            if child and word in (folder / "cmdline").read_text():
                found.append(int(folder.name))
    return sorted(found)


def torchrun(processes: int, *words: str) -> list[str]:
    """A command that starts a number of processes with torchrun, on this machine only."""
    local = ("--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0", "--local-addr=127.0.0.1", "--max-restarts=0")
    return [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}", *local, *words]


def as_ranks(processes: int, output: Path, work: Callable[..., object], *arguments: object) -> str:
    """Call a function in several processes with the environment of torchrun, and return what they wrote.

    The processes are forked, so that they need not import torch: torchrun itself takes ten times as long. On a machine
    with a GPU, the test is skipped.
    """
    if torch.cuda.is_available():
        pytest.skip("autograd's threads for a GPU do not survive a fork: the slow tests use torchrun")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    counts = dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), str(processes))
    place = {"TORCHELASTIC_RUN_ID": "test", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    job = place | counts | NETWORK

    def rank(number: int) -> None:
        own = {"RANK": str(number), "LOCAL_RANK": str(number)}
        os.environ.update(job | own)
        torch.set_num_threads(1)
        with output.open("a") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
            work(*arguments)

    ranks = [multiprocessing.get_context("fork").Process(target=rank, args=(number,)) for number in range(processes)]
    output.touch()
    for process in ranks:
        process.start()
    try:
        for process in ranks:
            process.join(PATIENCE)
        assert [process.exitcode for process in ranks] == [0] * processes, output.read_text()
    finally:
        for process in ranks:
            process.kill()
    return output.read_text()


def call(*command: str, status: int = 0) -> str:
    """Run a command, check its exit status, and return its output."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **NETWORK}
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == status, done.stdout
    return done.stdout


def run_words(data: Path, home: Path, *more: str) -> list[str]:
    """The settings of a short training run on the dataset in a folder, with all other folders below `home`."""
    return [
        *("data=folder", f"data.root={data}", f"data.packed={home}/packed", "data.workers=1", "device=cpu"),
        *(f"experiments={home}/experiments", f"features={home}/features", "download=false", "bootstrap=10"),
        *("net=alex_gaussian", "trainer.batch_size=5", *more),
    ]


class TrainingCommand:
    """`scripts/train.py` on a dataset's folder, which writes everything below `home`.

    Attributes:
        words: the settings; argv: the script and the settings.
    """

    def __init__(self, data: Path, home: Path, *overrides: str):
        self.home = home
        self.words = run_words(data, home, *overrides)
        self.argv = ["scripts/train.py", *self.words]

    @property
    def output(self) -> str:
        """What the last started process wrote."""
        return (self.home / "output").read_text()

    @property
    def folder(self) -> Path:
        """The folder of the run."""
        (folder,) = (self.home / "experiments").glob("folder-*")
        return folder
