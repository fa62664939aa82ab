"""Training by several processes under torchrun is the training of one."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from lpips_repro.backbones import gaussian_state
from lpips_repro.datasets.packed import open_split
from lpips_repro.devices import one_thread
from lpips_repro.distributed import Ranks, started_ranks
from lpips_repro.runs.optimizer import make_optimizer
from lpips_repro.training import validation
from lpips_repro.training.batch import ImageBatch
from lpips_repro.training.loop import Run
from lpips_repro.training.model import RankingModel
from lpips_repro.training.step import TrainingStep
from lpips_repro.training.step_sums import StepSums
from lpips_repro.training.triplets import ImageTriplets
from tests.datasets.folders import make_split
from tests.processes import NETWORK, PATIENCE, TrainingCommand, as_ranks, call, children, started, torchrun
from tests.training.tiny import CPU, assert_same, checkpoint, trainer


class Double(ImageTriplets):
    """Triplets as float64 images."""

    def batch(self, indices):
        return ImageBatch(*(field[indices].permute(0, 3, 1, 2).double() / 127.5 - 1 for field in self.fields))

    def votes(self, indices):
        return super().votes(indices).double()


def take_steps(folder: Path, variant: str, batch: int, steps: int, dropout: bool) -> None:
    """The first steps of a run in float64, as a rank or alone. The first rank writes result-<world>.pt."""
    with started_ranks() as ranks:
        _take_steps(folder, variant, batch, steps, dropout, ranks)


def _take_steps(folder: Path, variant: str, batch: int, steps: int, dropout: bool, ranks: Ranks) -> None:
    # Each rank begins with weights of its own: those of the first are meant.
    torch.manual_seed(ranks.rank)
    model = RankingModel("alex", variant, "0.1", gaussian_state("alex", 0), dropout=dropout).double()
    train = Double([open_split(folder / name) for name in ("train-cnn", "train-mix")], CPU)
    val = Double([open_split(folder / "val-color")], CPU)
    cfg = trainer(f"batch_size={batch}")
    run = Run(folder, {}, model, train, {"color": val}, cfg, 0, CPU, lambda: None, ranks)
    # At 1e-4 these few triplets of noise are learnt by heart in 40 steps, and then rounding grows tenfold every other
    # step, in one process too.
    training_step, sums = TrainingStep(model, make_optimizer(model, 3e-5), cfg, 0, ranks), StepSums(CPU, ranks=ranks)
    norms = []
    for step in range(steps):
        outcome = training_step(train, run.numbers(step), step)
        sums.add(step, *outcome)
        norms.append(outcome.norm)
    total = sums.total()
    scores = validation.validate(model, run.val, run.check_stop, ranks).scores
    if ranks.first:
        content = {"model": model.state_dict(), "norms": torch.stack(norms), "means": total.means(), "scores": scores}
        torch.save(content, folder / f"result-{ranks.world}.pt")


# Of 40 triplets, batches of 7: shares of 3 and 4, and of 2 and 3 at the end of an epoch; and of 2 among three: one has
# none.
@pytest.mark.parametrize(
    ("processes", "variant", "batch", "steps", "dropout"),
    [
        (2, "tune", 7, 13, False),
        (2, "lin", 7, 20, True),
        (3, "lin", 2, 12, True),
        pytest.param(2, "tune", 7, 50, False, marks=pytest.mark.slow),
    ],
)
def test_several_processes_train_as_one(splits, tmp_path, monkeypatch, processes, variant, batch, steps, dropout):
    root = splits["train"][0].path.parent
    for name in ("train-cnn", "train-mix", "val-color"):
        (tmp_path / name).symlink_to(root / name)
    monkeypatch.setattr(validation, "BATCH", 5)  # three batches of the 12 triplets
    arguments = (tmp_path, variant, batch, steps, dropout)
    with one_thread(), torch.random.fork_rng(devices=[]):
        take_steps(*arguments)
    as_ranks(processes, tmp_path / "output", take_steps, *arguments)
    one, several = (torch.load(tmp_path / f"result-{world}.pt", weights_only=True) for world in (1, processes))
    # What differs is the order of sums in float64: some 1e-16 was measured.
    for key, value in one["model"].items():
        torch.testing.assert_close(several["model"][key], value, rtol=0, atol=1e-8, msg=key)
    torch.testing.assert_close(several["norms"], one["norms"], rtol=0, atol=1e-8)
    assert several["means"] == pytest.approx(one["means"], abs=1e-8)
    assert several["scores"] == one["scores"]


def epoch_lines(output: str) -> list[str]:
    """What the log says of the triplets of each epoch."""
    return re.findall(r"(epoch .*: loss [0-9.]+, train 2AFC [0-9.]+ %)", output)


class Job(TrainingCommand):
    """`scripts/train.py` on a folder of noise, by one process or by two under torchrun."""

    def __init__(self, data: Path, home: Path, *overrides: str):
        rates = ("trainer.epochs=2", "trainer.decay_epochs=1", "trainer.learning_rate=1e-5", "trainer.log_every=2")
        super().__init__(data, home, *rates, *overrides)

    @contextlib.contextmanager
    def started(self):
        """Two processes under torchrun that do not outlive the block; output in the file `output`."""
        with started(torchrun(2, *self.argv), self.home / "output", **NETWORK) as process:
            try:
                yield process
            finally:
                for worker in self.workers(process):  # each in a session of its own
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(worker, signal.SIGKILL)

    def workers(self, process: subprocess.Popen) -> list[int]:
        """The processes that torchrun started, by rank."""
        return children(process.pid, "scripts/train.py")

    def wait_for_steps(self, process: subprocess.Popen, entries: int) -> None:
        """Until metrics.csv has so many lines."""
        end = time.monotonic() + PATIENCE
        while sum(file.read_text().count("\n") for file in self.home.glob("experiments/*/metrics.csv")) < entries:
            assert process.poll() is None, self.output
            assert time.monotonic() < end, self.output
            time.sleep(0.002)

    def weights(self) -> dict[str, torch.Tensor]:
        return torch.load(self.folder / "weights.pth", weights_only=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A dataset of noise in the BAPPS layout: the last batch of an epoch is of 3 triplets."""
    root = tmp_path_factory.mktemp("data")
    for seed, (phase, count) in enumerate({"train": 23, "val": 12}.items()):
        make_split(root, "2afc", phase, "cnn", count, seed)
    return root


@pytest.mark.slow
@pytest.mark.parametrize("settings", [("variant=tune", "trainer.dropout=false"), ("variant=lin",)])
def test_train_under_torchrun_ends_with_the_weights_of_one_process(data, tmp_path, settings):
    one, two = Job(data, tmp_path / "one", *settings), Job(data, tmp_path / "two", *settings)
    alone = call(sys.executable, *one.argv)
    output = call(*torchrun(2, *two.argv))
    assert output.count("finished: mean val 2AFC") == 1  # the first rank alone reports
    assert epoch_lines(output) == epoch_lines(alone)
    assert len(epoch_lines(output)) == 3  # of three epochs, over the triplets of both ranks
    assert one.folder.name == two.folder.name
    for key, value in one.weights().items():
        # Adam divides a gradient by its size: where it is nearly zero, rounding decides. 3e-6 was measured.
        assert (two.weights()[key] - value).norm() <= 3e-5 * value.norm(), key
    output = call(*torchrun(2, *two.argv))
    assert output.count("already finished: mean val 2AFC") == 1
    assert "already finished" in call(sys.executable, *two.argv)  # the number of processes is no part of a run


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_worker_is_reported_and_the_same_command_resumes(data, tmp_path, victim):
    settings = ("variant=tune", "trainer.checkpoint_minutes=1e-3", "trainer.epochs=4")
    job, whole = Job(data, tmp_path / "killed", *settings), Job(data, tmp_path / "whole", *settings)
    call(*torchrun(2, *whole.argv))
    with job.started() as process:
        job.wait_for_steps(process, 8)
        os.kill(job.workers(process)[victim], signal.SIGKILL)
        assert process.wait(PATIENCE) == 1, job.output
    assert re.search(r"exitcode\s*: -9", job.output), job.output
    assert checkpoint(job.folder)["step"] > 0
    call(*torchrun(2, *job.argv))
    assert_same(job.weights(), whole.weights())


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("to", ["torchrun", "one worker"])
def test_signals_let_all_ranks_save_and_stop_at_the_same_step(data, tmp_path, number, to):
    # An entry in metrics.csv after every step, and 23 steps from one validation, with its checkpoint, to the next.
    settings = ("trainer.batch_size=1", "trainer.log_every=1", "trainer.epochs=50")
    job = Job(data, tmp_path / "job", "variant=tune", *settings)
    with job.started() as process:
        job.wait_for_steps(process, 6)
        os.kill(process.pid if to == "torchrun" else job.workers(process)[1], number)
        assert process.wait(PATIENCE) != 0, job.output
    *_, last = (job.folder / "metrics.csv").read_text().splitlines()
    step = checkpoint(job.folder)["step"]
    assert step == int(last.split(",")[0]) > 0, job.output
    assert "the state is saved" in job.output


@pytest.mark.slow
def test_what_the_user_can_fix_is_reported_once(data, tmp_path):
    job = Job(data, tmp_path / "job", "variant=tune", "trainer.precision=tf32")
    output = call(*torchrun(2, *job.argv), status=1)
    errors = [line for line in output.splitlines() if line.startswith("error:")]
    assert len(errors) == 1, output
    assert errors[0].startswith("error: trainer.precision=tf32: only a GPU has TF32"), output


@pytest.mark.slow
def test_a_bad_step_is_reported_once(data, tmp_path):
    job = Job(data, tmp_path / "job", "variant=tune", "trainer.learning_rate=1e30")
    output = call(*torchrun(2, *job.argv), status=1)
    assert len(re.findall(r"^error: .*not finite", output, re.MULTILINE)) == 1, output
    assert (job.folder / "not_finite.json").is_file()
