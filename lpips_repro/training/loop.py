"""The training loop (paper, appendix B): the ranking loss is minimized, with lin weights back to >= 0 after every step.

for each step (`lpips_repro.training.step`):
    triplets -> distances (d0, d1) -> ranking loss against the votes -> optimizer -> lin weights back to >= 0
before the first epoch and after each:
    2AFC on the validation splits -> checkpoint last.pt, and best.pt where it is the best so far
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
from lpips_repro.runs.not_finite import bad_step_error, write_bad_step
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
# Images in TensorBoard, over a whole run: each validation has its own in short runs only.
MOST_PICTURES = 10


@dataclass
class Run:
    """What a run is made of.

    Attributes:
        folder: where checkpoints and logs go.
        identity: what must not change between its starts, by name: digests and settings.
        model: on `device`.
        train: triplets to learn from; val: those of each validation split, by name.
        cfg: the trainer's settings; seed: of order and dropout.
        check_stop: called often, by all ranks alike; raises `Stopped` if the run is to save and end. Takes a flag
            and returns whether it is set on any rank, so that the ranks meet once for both.
        ranks: the processes that train it together: the first one saves and reports.
        optimizer: its settings.
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
        """Steps in an epoch; the last one may be of fewer triplets."""
        return -(-len(self.train) // self.cfg.batch_size)

    def numbers(self, step: int) -> np.ndarray:
        """The numbers of the triplets of a step: each epoch takes all of them in another order."""
        epoch, within = divmod(step, self.steps_per_epoch)
        order = epoch_order(self.seed, epoch, len(self.train))
        return order[within * self.cfg.batch_size : (within + 1) * self.cfg.batch_size]


@dataclass
class _State:
    """Where a run is: all that a checkpoint holds, but for model and optimizer.

    Attributes:
        entry: sums since the last log entry; epoch: of all ranks, from the beginning of the epoch to that entry.
        step, validations: how many there were; scores: of the last validation; best: highest mean so far.
        seconds: that earlier starts took; None if they did not save it.
        started: when this start began.
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
    """Train to the end, from wherever an earlier start of the same run stopped.

    Returns:
        The scores of the last validation, in [0, 1], by split, and their "mean".

    Raises:
        Stopped: if `run.check_stop` raised it; what is needed to go on is saved.
        UserError: if the loss or a gradient is not finite, or the run in the folder is another one.
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
    """Where an earlier start stopped, or the beginning; model and optimizer get what they had there."""
    ranks = run.ranks
    saved = ranks.from_first(load_latest(run.folder, run.identity) if ranks.first else None)
    if saved is None:
        return _State(StepSums(run.device, ranks=ranks), StepSums(CPU))
    run.model.load_trained_state(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    # Earlier versions of the code did not save the sums of an epoch, and the time.
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
    if is_best:  # before last.pt: a run killed in between does this validation again
        save_checkpoint(run.folder / "best.pt", content)
    save_checkpoint(run.folder / "last.pt", content)


def _validate(run: Run, state: _State, watch: TrainingWatch | Unwatched) -> bool:
    """Score the model on the validation splits, and begin the sums of the next epoch; whether it is the best so far."""
    epoch, epochs = state.step // run.steps_per_epoch, run.cfg.epochs + run.cfg.decay_epochs
    state.scores, disagreements = validate(run.model, run.val, run.check_stop, run.ranks)
    state.validations = epoch + 1
    # The released clamp begins with negative lin weights, which no metric takes.
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
    if run.ranks.first:
        triplets = [run.train.locate(index) for index in run.numbers(step)]
        names = [{"split": split.name, "index": index} for split, index in triplets]
        write_bad_step(run.folder, step, "triplets", names)
    raise bad_step_error(run.folder, step, "triplets", "trainer.learning_rate")
