"""The training loop of all pretext tasks.

for each step (`lpips_repro.pretraining.step`):
    crops -> examples of the task, drawn from the run's seed and the step's number -> loss -> optimizer
before the first step, every `validate_every` steps and after the last:
    scores of the task on held-out photographs -> checkpoint last.pt
"""

import itertools
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lpips_repro.config import PretrainConfig
from lpips_repro.devices import read_ahead, send
from lpips_repro.distributed import Ranks
from lpips_repro.photographs.crops import Crops
from lpips_repro.pretraining.step import PretextStep
from lpips_repro.pretraining.step_sums import StepSums
from lpips_repro.pretraining.tasks.task import PretextTask, Score
from lpips_repro.pretraining.watch import PretextWatch
from lpips_repro.runs.checkpoint import load_latest, save_checkpoint
from lpips_repro.runs.example_order import epoch_order, mixed_seed
from lpips_repro.runs.not_finite import end_at_bad_step
from lpips_repro.runs.optimizer import make_optimizer
from lpips_repro.runs.schedule import learning_rate
from lpips_repro.runs.signals import Stopped
from lpips_repro.runs.watch import Unwatched

# The number of examples of a score, about: several per crop if there are fewer crops.
SCORED = 1000
LAYERS = 1  # distinguishes the seeds of random numbers in layers from those of examples


@dataclass
class Pretraining:
    """The parts of a run.

    Attributes:
        folder: the folder of checkpoints and logs.
        identity: values that must not change between starts, by name: digests and settings.
        task: the task, on `device`.
        crops: crops for training, and held-out crops.
        cfg: the settings.
        check_stop: called often, by all ranks; raises `Stopped` if the run should save and end. It takes a flag, and
            returns whether the flag is set on any rank, so that one synchronization serves both.
        photographs: files of the training crops, with equal numbers of crops, for reports of bad steps.
        ranks: the processes that train together; the first one saves and logs.
    """

    folder: Path
    identity: dict[str, Any]
    task: PretextTask
    crops: Crops
    cfg: PretrainConfig
    device: torch.device
    check_stop: Callable[..., bool]
    photographs: Sequence[Path] = ()
    ranks: Ranks = field(default_factory=Ranks)

    def numbers(self, step: int) -> np.ndarray:
        """The crops of a step. Each pass takes all crops in another order, without a last incomplete batch."""
        size = self.cfg.task.batch_size
        taken, within = divmod(step, len(self.crops.train) // size)
        order = epoch_order(self.cfg.seed, taken, len(self.crops.train))
        return order[within * size : (within + 1) * size]

    def batches(self, step: int) -> Generator[np.ndarray, None, None]:
        """Yield the crops of each step from this one on. The next crops are read during a step."""

        def read(step: int) -> np.ndarray:
            return self.crops.train[self.numbers(step)]

        return read_ahead(read, itertools.count(step))

    def learning_rate(self, step: int) -> float:
        """The learning rate of a step, which decays in the second half of the run."""
        task, steps = self.cfg.task, self.cfg.task.steps
        each = max(1, len(self.crops.train) // task.batch_size)
        return learning_rate(self.cfg.schedule, task.learning_rate, step, hold=steps / 2, steps=steps, per_epoch=each)

    def generator(self, *numbers: int) -> torch.Generator:
        """A generator that depends only on the seed and numbers, so that there is no state to save."""
        return torch.Generator().manual_seed(mixed_seed(self.cfg.seed, *numbers))


@dataclass
class _State:
    """The state of a run: everything in a checkpoint, except task and optimizer.

    Attributes:
        entry: sums since the last log entry; period: sums since the last validation.
        step: number of steps so far; validated: step of the last validation, or -1; scores: its scores.
        seconds: time of earlier starts; None if they did not save it.
        started: time when this start began.
    """

    entry: StepSums
    period: StepSums
    step: int = 0
    validated: int = -1
    scores: dict[str, Score] = field(default_factory=dict)
    seconds: float | None = 0.0
    started: float = field(default_factory=time.monotonic)


def fit(run: Pretraining) -> dict[str, Score]:
    """Train to the end, from the point where an earlier start of the same run stopped.

    Returns:
        The final scores on held-out photographs.

    Raises:
        Stopped: if `run.check_stop` raised it, after the state was saved.
        UserError: if the loss or a gradient is not finite, or if the folder has another run.
    """
    cfg, ranks, steps = run.cfg, run.ranks, run.cfg.task.steps
    optimizer = make_optimizer(run.task, cfg.task.learning_rate, cfg.optimizer, cfg.task.beta1)
    take_step = PretextStep(run.task, optimizer, cfg, ranks)
    state = _restored(run, optimizer)
    saved_at, batches = time.monotonic(), run.batches(state.step)
    with _watch(run, state) as watch:
        try:
            while True:
                if state.validated < state.step and (state.step % cfg.validate_every == 0 or state.step == steps):
                    _validate(run, state, watch)
                    _save(run, state, optimizer, watch)
                    saved_at = time.monotonic()
                if state.step == steps:
                    return state.scores

                optimizer.param_groups[0]["lr"] = rate = run.learning_rate(state.step)
                # For layers such as dropout: the same numbers after a resume, others on each rank.
                torch.manual_seed(mixed_seed(cfg.seed, state.step, ranks.rank, LAYERS))
                shown, norm = take_step(send(next(batches), run.device), run.generator(state.step))
                state.entry.add(state.step, shown, norm)
                state.period.add(state.step, shown, norm)
                state.step += 1

                watch.step()
                if state.step % cfg.log_every == 0 or state.step == steps:
                    total = state.entry.total()
                    _check_finite(run, total)
                    watch.training(state.step, total.means(), rate)
                    state.entry = StepSums(run.device, ranks=ranks)
                if run.check_stop(ranks.first and time.monotonic() - saved_at > 60 * cfg.checkpoint_minutes):
                    _save(run, state, optimizer, watch)
                    saved_at = time.monotonic()
        except Stopped:
            _save(run, state, optimizer, watch)
            raise
        finally:
            batches.close()


def _restored(run: Pretraining, optimizer: torch.optim.Optimizer) -> _State:
    """The state of an earlier start, or of the beginning; task and optimizer are restored."""
    ranks = run.ranks
    saved = ranks.from_first(load_latest(run.folder, run.identity, ("last.pt",)) if ranks.first else None)
    if saved is None:
        return _State(StepSums(run.device, ranks=ranks), StepSums(run.device, ranks=ranks))
    run.task.load_state_dict(saved["task"])
    optimizer.load_state_dict(saved["optimizer"])
    entry = StepSums(run.device, {"sums": saved["sums"], "steps": saved["summed"]}, ranks)
    period = StepSums(run.device, saved.get("period"), ranks)  # earlier versions did not save it or the time
    scores = {name: Score(*pair) for name, pair in saved["scores"].items()}
    return _State(entry, period, saved["step"], saved["validated"], scores, saved.get("seconds"))


def _save(run: Pretraining, state: _State, optimizer: torch.optim.Optimizer, watch: PretextWatch | Unwatched) -> None:
    entry, period = state.entry.total(), state.period.total()
    _check_finite(run, entry)
    if not run.ranks.first:
        return
    watch.flush()
    content: dict[str, Any] = {"identity": run.identity, "step": state.step, "validated": state.validated}
    content |= {"sums": entry.values, "summed": entry.steps, "period": period.state()}
    content |= {"scores": {name: tuple(score) for name, score in state.scores.items()}}
    content |= {"task": run.task.state_dict(), "optimizer": optimizer.state_dict()}
    content["seconds"] = None if state.seconds is None else state.seconds + time.monotonic() - state.started
    save_checkpoint(run.folder / "last.pt", content)


def _validate(run: Pretraining, state: _State, watch: PretextWatch | Unwatched) -> None:
    """Score the task on held-out photographs, and reset the sums of the period."""
    period = state.period.total()
    means = period.means() if period.steps == state.step - max(state.validated, 0) else {}
    state.scores, state.validated = score(run, run.crops.held_out), state.step
    watch.validation(state.step, state.scores, means)
    state.period = StepSums(run.device, ranks=run.ranks)


def _watch(run: Pretraining, state: _State) -> PretextWatch | Unwatched:
    if not run.ranks.first:
        return Unwatched()
    return PretextWatch(run.folder, run.task, step=state.step, validated=state.validated, cfg=run.cfg.task)


@torch.no_grad()
def score(run: Pretraining, crops: np.ndarray) -> dict[str, Score]:
    """The task's scores on crops, by name: means over examples that are the same in every call."""
    chosen = np.arange(0, len(crops), max(1, len(crops) // SCORED))
    size = min(run.cfg.task.batch_size, len(chosen))
    batches, found = itertools.count(), dict[int, dict[str, Score]]()
    run.task.eval()
    for number in range(-(-SCORED // len(chosen))):
        generator = run.generator(number, 0)
        order = chosen[torch.randperm(len(chosen), generator=generator).numpy()]
        for start in range(0, len(order) - size + 1, size):  # full batches: chance may depend on the batch size
            given, wanted = run.task.draw(send(crops[order[start : start + size]], run.device), generator)
            if (batch := next(batches)) % run.ranks.world == run.ranks.rank:
                found[batch] = run.task.score(given, wanted)
    run.task.train()
    scores = {batch: scores for part in run.ranks.gather(found) for batch, scores in part.items()}
    in_order = [scores[batch] for batch in sorted(scores)]  # so that a sum does not depend on the number of ranks
    means = {name: np.mean([one[name] for one in in_order], axis=0) for name in in_order[0]}
    return {name: Score(*mean.tolist()) for name, mean in means.items()}


def _check_finite(run: Pretraining, sums: StepSums) -> None:
    step = sums.first_bad_step()
    if step is None:
        return
    count, files = len(run.crops.train), run.photographs
    numbers = run.numbers(step).tolist()
    named = [{"crop": n} | ({"photograph": str(files[n * len(files) // count])} if files else {}) for n in numbers]
    end_at_bad_step(run.folder, step, "crops", named, "task.learning_rate", run.ranks)
