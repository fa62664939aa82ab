"""`make train` as a process: killed, stopped and started again, it ends with the weights of a run left alone."""

import contextlib
import logging
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lpips_repro.devices import one_thread
from lpips_repro.training.run import train
from tests.compose import settings
from tests.datasets.folders import make_split
from tests.processes import PATIENCE, REPOSITORY, TrainingCommand, started
from tests.training.tiny import assert_same, checkpoint, metrics

SPLITS = {("train", "cnn"): 60, ("train", "mix"): 43, ("val", "color"): 20, ("val", "deblur"): 20}
# Checkpoints after every step of lin, and after every few of tune, whose checkpoints are large.
SETTINGS = {
    "lin": ("trainer.epochs=5", "trainer.decay_epochs=5", "trainer.checkpoint_minutes=1e-9", "trainer.log_every=4"),
    "tune": ("trainer.epochs=2", "trainer.decay_epochs=1", "trainer.checkpoint_minutes=5e-3", "trainer.log_every=2"),
}


class Command(TrainingCommand):
    """One command, `scripts/train.py` on a folder of 103 triplets, that is given again and again.

    Args:
        data: the dataset's folder; home: where everything goes that the command writes.
        variant: "lin" or "tune".
    """

    def __init__(self, data: Path, home: Path, variant: str):
        super().__init__(data, home, f"variant={variant}", "trainer.learning_rate=1e-3", *SETTINGS[variant])

    def started(self) -> contextlib.AbstractContextManager[subprocess.Popen]:
        """The process, which does not outlive the block; its output is in `output`."""
        return started([sys.executable, *self.argv], self.home / "output")

    def finish(self) -> None:
        """Give the command in this process, which has what starting takes behind it."""
        with one_thread():
            train(settings("train", *self.words))

    def packed(self) -> list[str]:
        """What is there of packed splits."""
        return sorted(str(path) for path in self.home.glob("packed/folder/*/*/*") if path.name != ".lock")

    def features(self) -> list[str]:
        """What is there of stored features, and how far it is."""
        return sorted(f"{path} {path.stat().st_size}" for path in self.home.glob("features/folder/*/*.npy"))

    def rows(self) -> int:
        """Lines of metrics.csv."""
        return sum(len(file.read_bytes().splitlines()) for file in self.home.glob("experiments/folder-*/metrics.csv"))

    def step(self) -> int:
        """How far the last checkpoint is."""
        return max((checkpoint(path.parent)["step"] for path in self.home.glob("experiments/*/last.pt")), default=0)

    def writing(self) -> list[Path]:
        """Checkpoints that are being written."""
        return list(self.home.glob("experiments/folder-*/.*.pt.partial-*"))

    def exported(self) -> list[Path]:
        """Weights that a run writes when its last step is done."""
        return list(self.home.glob("experiments/folder-*/weights*.pth"))


def wait_until(process: subprocess.Popen, condition: Callable[[], object]) -> None:
    """Return as soon as a condition holds; fail where the process ends without it."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, "the process ended too soon"
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.0005)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A dataset of noise in the BAPPS layout."""
    root = tmp_path_factory.mktemp("data")
    for seed, ((phase, split), count) in enumerate(SPLITS.items()):
        make_split(root, "2afc", phase, split, count, seed)
    return root


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    """By variant: a run that was left alone."""
    done = {}

    def run(variant: str) -> Command:
        if variant not in done:
            done[variant] = Command(data, tmp_path_factory.mktemp("undisturbed") / variant, variant)
            done[variant].finish()
        return done[variant]

    return run


def assert_same_run(one: Command, other: Command) -> None:
    for name in ("weights.pth", "weights_best.pth"):
        assert_same(*(torch.load(run.folder / name, weights_only=True) for run in (one, other)), name)
    for name in ("last.pt", "best.pt"):
        assert_same(checkpoint(one.folder, name), checkpoint(other.folder, name), name)
    assert metrics(one.folder) == metrics(other.folder)
    assert one.folder.name == other.folder.name


KILLS = {
    "lin": ("start-up", "packing", "features", "features", *("epochs", "checkpoint") * 2, "epochs", "export"),
    "tune": ("start-up", "packing", *("epochs", "checkpoint") * 3, "epochs", "export"),
}


def wait_for(aim: str, command: Command, process: subprocess.Popen, rng: random.Random) -> None:
    """Wait until a random moment of the part of the run that is aimed at."""
    watched = {
        "packing": command.packed,
        "features": command.features,
        "checkpoint": lambda: [(path, path.stat().st_mtime_ns) for path in command.writing()],
        "export": command.exported,
    }
    if aim == "start-up":
        time.sleep(rng.uniform(0, 3))
    if aim in ("epochs", "checkpoint"):
        rows = command.rows() + rng.randint(1, 4)
        wait_until(process, lambda: command.rows() >= rows)
    if aim in watched:

        def state():
            with contextlib.suppress(FileNotFoundError):  # between the listing and the look at a file
                return watched[aim]()

        before = state()
        wait_until(process, lambda: state() not in (None, [], before))
    if aim != "checkpoint":  # which is written in less
        time.sleep(rng.uniform(0, 0.05))


@pytest.mark.slow
@pytest.mark.parametrize("variant", KILLS)
def test_kill_9_at_ten_random_moments_changes_no_bit_of_the_result(data, undisturbed, tmp_path, variant):
    command, rng, fell = Command(data, tmp_path / variant, variant), random.Random(0), []
    for aim in KILLS[variant]:
        with command.started() as process:
            wait_for(aim, command, process, rng)
            process.kill()
            assert process.wait() == -signal.SIGKILL, command.output
        fell.append((aim, command.step(), len(command.writing())))
    command.finish()
    # Before there are epochs nothing is trained; then each start went on from the one before, up to the end.
    begun = [step for aim, step, _ in fell if aim in ("epochs", "checkpoint", "export")]
    assert [step for _, step, _ in fell] == [0] * (10 - len(begun)) + begun, fell
    assert begun == sorted(begun), fell
    assert begun[0] < begun[-2] < begun[-1] == checkpoint(command.folder)["step"], fell
    assert_same_run(command, undisturbed(variant))
    assert command.writing() == [], fell


def test_signals_save_the_state_and_the_same_command_resumes(data, undisturbed, tmp_path, caplog):
    command = Command(data, tmp_path / "lin", "lin")
    with command.started() as process:
        wait_until(process, lambda: command.rows() > 10)
        process.terminate()
        assert process.wait(PATIENCE) == 143, command.output
    assert "SIGTERM: the state is saved: the same command resumes the run" in command.output
    first = checkpoint(command.folder)["step"]
    assert first > 0

    rows = command.rows()
    with command.started() as process:
        wait_until(process, lambda: command.rows() > rows + 5)
        process.send_signal(signal.SIGSTOP)  # or it might end before the other has begun
        other = subprocess.run([sys.executable, *command.argv], cwd=REPOSITORY, capture_output=True, text=True)
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130, command.output
    assert "interrupted: completed work is kept, and the same command resumes there" in command.output
    assert checkpoint(command.folder)["step"] > first
    assert other.returncode == 1
    refusal = f"error: {command.folder}: another process is training this run: wait for it, or use another seed"
    assert [line for line in other.stderr.splitlines() if not line.startswith("Error executing job")] == [refusal]

    caplog.set_level(logging.INFO)
    command.finish()
    assert "finished: mean val 2AFC" in caplog.messages[-1]
    assert_same_run(command, undisturbed("lin"))
    before = {path: path.stat().st_mtime_ns for path in command.folder.glob("*.p*")}
    command.finish()
    assert "already finished: mean val 2AFC" in caplog.messages[-1]
    assert {path: path.stat().st_mtime_ns for path in before} == before
