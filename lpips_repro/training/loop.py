"""The training loop (paper, appendix B): it minimizes the ranking loss, and clamps lin weights to >= 0 after each step.

for each step (`lpips_repro.training.step`):
    triplets -> distances (d0, d1) -> ranking loss against the votes -> optimizer -> lin weights clamped to >= 0
before the first epoch and after each:
    2AFC on the validation splits -> checkpoint last.pt, and best.pt if it is the best so far
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lpips_repro.config import OptimizerConfig, TrainerConfig
from lpips_repro.distributed import Ranks
from lpips_repro.runs.checkpoint import load_latest, save_checkpoint
from lpips_repro.runs.example_order import epoch_order
from lpips_repro.runs.not_finite import end_at_bad_step
from lpips_repro.runs.optimizer import ADAM, make_optimizer
from lpips_repro.runs.schedule import learning_rate
from lpips_repro.runs.signals import Stopped
from lpips_repro.runs.watch import Unwatched
from lpips_repro.training.model import RankingModel
from lpips_repro.training.step import TrainingStep
from lpips_repro.training.step_sums import StepSums
from lpips_repro.training.triplets import ImageTriplets
from lpips_repro.training.validation import validate
from lpips_repro.training.watch import TrainingWatch

CPU = torch.device("cpu")
# Most validations of a run whose images are written to TensorBoard.
MOST_PICTURES = 10


@dataclass
class Run:
    """The parts of a run.

    Attributes:
        folder: the folder of checkpoints and logs.
        identity: values that must not change between starts, by name: digests and settings.
        model: the model, on `device`.
        train: triplets to train on; val: triplets of each validation split, by name.
        cfg: the trainer's settings; seed: seed of order and dropout.
        check_stop: called often, by all ranks; raises `Stopped` if the run should save and end. It takes a flag, and
            returns whether the flag is set on any rank, so that one synchronization serves both.
        ranks: the processes that train together; the first one saves and logs.
        optimizer: the optimizer's settings.
    """

    folder: Path
    identity: dict[str, Any]
    model: RankingModel
    train: ImageTriplets
    val: dict[str, ImageTriplets]
    cfg: TrainerConfig
    seed: int
    device: torch.device
    check_stop: Callable[..., bool]
    ranks: Ranks = field(default_factory=Ranks)
    optimizer: OptimizerConfig = field(default_factory=lambda: ADAM)

    @property
    def steps_per_epoch(self) -> int:
        """Steps per epoch. The last one may have fewer triplets."""
        return -(-len(self.train) // self.cfg.batch_size)

    def numbers(self, step: int) -> np.ndarray:
        """The numbers of the triplets of a step. Each epoch takes all triplets in another order."""
        epoch, within = divmod(step, self.steps_per_epoch)
        order = epoch_order(self.seed, epoch, len(self.train))
        return order[within * self.cfg.batch_size : (within + 1) * self.cfg.batch_size]


@dataclass
class _State:
    """The state of a run: everything in a checkpoint, except model and optimizer.

    Attributes:
        entry: sums since the last log entry; epoch: sums of all ranks from the start of the epoch to that entry.
        step, validations: numbers so far; scores: scores of the last validation; best: highest mean so far.
        seconds: time of earlier starts; None if they did not save it.
        started: time when this start began.
    """

    entry: StepSums
    epoch: StepSums
    step: int = 0
    validations: int = 0
    scores: dict[str, float] = field(default_factory=dict)
    best: float = -1.0
    seconds: float | None = 0.0
    started: float = field(default_factory=time.monotonic)


def fit(run: Run) -> dict[str, float]:
    """Train to the end, from the point where an earlier start of the same run stopped.

    Returns:
        The scores of the last validation, in [0, 1], by split, and their "mean".

    Raises:
        Stopped: if `run.check_stop` raised it, after the state was saved.
        UserError: if the loss or a gradient is not finite, or if the folder has another run.
    """
    cfg, ranks, per_epoch = run.cfg, run.ranks, run.steps_per_epoch
    hold, steps = cfg.epochs * per_epoch, (cfg.epochs + cfg.decay_epochs) * per_epoch
    optimizer = make_optimizer(run.model, cfg.learning_rate, run.optimizer)
    training_step = TrainingStep(run.model, optimizer, cfg, run.seed, ranks)
    state = _restored(run, optimizer)
    saved_at = time.monotonic()
    with _watch(run, state, steps) as watch:
        try:
            while True:
                epoch = state.step // per_epoch
                if state.step % per_epoch == 0 and epoch >= state.validations:
                    is_best = _validate(run, state, watch)
                    _save(run, state, optimizer, watch, is_best=is_best)
                    saved_at = time.monotonic()
                if state.step == steps:
                    return state.scores

                rate = learning_rate(
                    cfg.schedule, cfg.learning_rate, state.step, hold=hold, steps=steps, per_epoch=per_epoch
                )
                optimizer.param_groups[0]["lr"] = rate
                outcome = training_step(run.train, run.numbers(state.step), state.step)
                state.entry.add(state.step, *outcome)
                state.step += 1

                watch.step()
                if state.step % cfg.log_every == 0 or state.step % per_epoch == 0:
                    total = state.entry.total()
                    _check_finite(run, total)
                    state.epoch.include(total)
                    watch.training(state.step, epoch, {**total.means(), "learning_rate": rate})
                    state.entry = StepSums(run.device, ranks=ranks)
                if run.check_stop(ranks.first and time.monotonic() - saved_at > 60 * cfg.checkpoint_minutes):
                    _save(run, state, optimizer, watch)
                    saved_at = time.monotonic()
        except Stopped:
            _save(run, state, optimizer, watch)
            raise


def _restored(run: Run, optimizer: torch.optim.Optimizer) -> _State:
    """The state of an earlier start, or of the beginning; model and optimizer are restored."""
    ranks = run.ranks
    saved = ranks.from_first(load_latest(run.folder, run.identity) if ranks.first else None)
    if saved is None:
        return _State(StepSums(run.device, ranks=ranks), StepSums(CPU))
    run.model.load_trained_state(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    # Earlier versions of the code did not save the sums of an epoch or the time.
    entry, epoch = StepSums(run.device, saved["window"], ranks), StepSums(CPU, saved.get("epoch"))
    known = {key: saved[key] for key in ("step", "validations", "scores", "best")}
    return _State(entry, epoch, **known, seconds=saved.get("seconds"))


def _save(
    run: Run,
    state: _State,
    optimizer: torch.optim.Optimizer,
    watch: TrainingWatch | Unwatched,
    *,
    is_best: bool = False,
) -> None:
    total = state.entry.total()
    _check_finite(run, total)
    if not run.ranks.first:
        return
    watch.flush()
    content: dict[str, Any] = {"identity": run.identity, "model": run.model.trained_state()}
    content |= {"optimizer": optimizer.state_dict(), "window": total.values, "epoch": state.epoch.values}
    content |= {key: getattr(state, key) for key in ("step", "validations", "scores", "best")}
    content["seconds"] = None if state.seconds is None else state.seconds + time.monotonic() - state.started
    if is_best:  # before last.pt: a run that is killed in between repeats this validation
        save_checkpoint(run.folder / "best.pt", content)
    save_checkpoint(run.folder / "last.pt", content)


def _validate(run: Run, state: _State, watch: TrainingWatch | Unwatched) -> bool:
    """Score the model on the validation splits, and reset the sums of the epoch; return whether it is the best."""
    epoch, epochs = state.step // run.steps_per_epoch, run.cfg.epochs + run.cfg.decay_epochs
    state.scores, disagreements = validate(run.model, run.val, run.check_stop, run.ranks)
    state.validations = epoch + 1
    # With the released clamp, lin weights are negative at first, which no metric accepts.
    is_best = state.scores["mean"] > state.best and bool((run.model.lin >= 0).all())
    state.best = state.scores["mean"] if is_best else state.best
    if epoch % -(-epochs // MOST_PICTURES) == 0 or epoch == epochs:
        watch.disagreements(state.step, disagreements)
    means = state.epoch.means() if state.epoch.triplets == len(run.train) else {}
    watch.validation(state.step, epoch, state.scores, run.model.lin_by_layer(), means)
    state.epoch = StepSums(CPU)
    return is_best


def _watch(run: Run, state: _State, steps: int) -> TrainingWatch | Unwatched:
    if not run.ranks.first:
        return Unwatched()
    names, size = list(run.val), run.cfg.batch_size
    return TrainingWatch(
        run.folder, names, step=state.step, validations=state.validations, steps=steps, batch_size=size
    )


def _check_finite(run: Run, sums: StepSums) -> None:
    step = sums.first_bad_step()
    if step is None:
        return
    triplets = [run.train.locate(index) for index in run.numbers(step)]
    names = [{"split": split.name, "index": index} for split, index in triplets]
    end_at_bad_step(run.folder, step, "triplets", names, "trainer.learning_rate", run.ranks)
