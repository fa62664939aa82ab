"""Small training runs as processes, for tests that kill, stop and compare them."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.compose import CONFIGS

REPOSITORY = CONFIGS.parent
PATIENCE = 120  # seconds, for a machine that has much else to do
# Of processes that torchrun starts: they find each other without a network.
NETWORK = {"PYTHONPATH": str(REPOSITORY), "GLOO_SOCKET_IFNAME": "lo"}


def ended_process() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@contextlib.contextmanager
def started(command: Sequence[str], output: Path, **environment: str) -> Iterator[subprocess.Popen]:
    """A process in a session of its own, in the repository and on one thread, that does not outlive the block.

    Args:
        command: its words.
        output: the file for what it says.
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
    """The ids of the processes that one has started and whose command has a word in it."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            child = f"\nPPid:\t{parent}\n" in (folder / "status").read_text()
            if child and word in (folder / "cmdline").read_text():
                found.append(int(folder.name))
    return sorted(found)


def torchrun(processes: int, *words: str) -> list[str]:
    """A command that starts so many processes, which find each other on this machine alone."""
    local = ("--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0", "--local-addr=127.0.0.1", "--max-restarts=0")
    return [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}", *local, *words]


def call(*command: str, status: int = 0) -> str:
    """Run a command to its end; its output."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **NETWORK}
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == status, done.stdout
    return done.stdout


def run_words(data: Path, home: Path, *more: str) -> list[str]:
    """The settings of a training run of seconds, on a dataset's folder, that writes below `home`."""
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
