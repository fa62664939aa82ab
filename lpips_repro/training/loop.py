"""The training loop (paper, appendix B): Adam on the ranking loss, the lin weights put back to >= 0 after every step.

for each step (`lpips_repro.training.step`):
    triplets -> distances (d0, d1) -> ranking loss against the votes -> Adam -> lin weights back to >= 0
before the first epoch and after each:
    2AFC on the validation splits -> checkpoint last.pt, and best.pt where it is the best so far
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lpips_repro.config import TrainerConfig
from lpips_repro.distributed import Ranks
from lpips_repro.errors import UserError
from lpips_repro.runs.checkpoint import load_latest, save_checkpoint
from lpips_repro.runs.order import epoch_order
from lpips_repro.runs.signals import Stopped
from lpips_repro.training.model import RankingModel
from lpips_repro.training.schedule import learning_rate
from lpips_repro.training.step import TrainingStep, make_optimiser
from lpips_repro.training.triplets import ImageTriplets
from lpips_repro.training.validation import validate
from lpips_repro.training.watch import Unwatched, Watch
from lpips_repro.training.window import Window

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

    @property
    def steps_per_epoch(self) -> int:
        """Steps in an epoch; the last one may be of fewer triplets."""
        return -(-len(self.train) // self.cfg.batch_size)

    def batch(self, step: int) -> np.ndarray:
        """The numbers of the triplets of a step: each epoch takes all of them in another order."""
        epoch, within = divmod(step, self.steps_per_epoch)
        order = epoch_order(self.seed, epoch, len(self.train))
        return order[within * self.cfg.batch_size : (within + 1) * self.cfg.batch_size]


def fit(run: Run) -> dict[str, float]:
    """Train to the end, from wherever an earlier start of the same run stopped.

    Returns:
        The scores of the last validation, in [0, 1], by split, and their "mean".

    Raises:
        Stopped: where `run.check_stop` raised it; what is needed to go on is saved.
        UserError: where the loss or a gradient is not finite, or the run in the folder is another one.
    """
    cfg, model, ranks, last = run.cfg, run.model, run.ranks, run.folder / "last.pt"
    per_epoch, epochs = run.steps_per_epoch, cfg.epochs + cfg.decay_epochs
    optimiser = make_optimiser(model, cfg.learning_rate)
    training_step = TrainingStep(model, optimiser, cfg, run.seed, ranks)
    window = Window(run.device, ranks=ranks)  # since the last log entry
    epoch_sums = Window(CPU)  # of all ranks, from the beginning of the epoch to the last log entry
    first_step, validations, scores, best = 0, 0, {}, -1.0

    saved = ranks.from_first(load_latest(run.folder, run.identity) if ranks.first else None)
    if saved is not None:
        model.load_trained_state(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        window = Window(run.device, saved["window"], ranks)
        epoch_sums = Window(CPU, saved.get("epoch"))  # which earlier versions of the code did not save
        first_step, validations, scores, best = (saved[key] for key in ("step", "validations", "scores", "best"))

    watch = Unwatched()
    if ranks.first:
        watch = Watch(
            run.folder,
            list(run.val),
            step=first_step,
            validations=validations,
            steps=per_epoch * epochs,
            batch_size=cfg.batch_size,
        )

    def save(step: int, *, is_best: bool = False) -> None:
        total = window.total()
        _check_finite(run, total)
        if not ranks.first:
            return
        watch.flush()
        content = {"identity": run.identity, "step": step, "validations": validations, "scores": scores, "best": best}
        content |= {"model": model.trained_state(), "optimiser": optimiser.state_dict(), "window": total.values}
        content["epoch"] = epoch_sums.values
        if is_best:  # before last.pt: a run killed in between does this validation again
            save_checkpoint(run.folder / "best.pt", content)
        save_checkpoint(last, content)

    saved_at = time.monotonic()
    with watch:
        step = first_step
        try:
            while True:
                epoch = step // per_epoch
                if step % per_epoch == 0 and epoch >= validations:
                    scores, disagreements = validate(model, run.val, run.check_stop, ranks)
                    validations = epoch + 1
                    # The released clamp begins with negative lin weights, which no metric takes.
                    is_best = scores["mean"] > best and bool((model.lin >= 0).all())
                    best = scores["mean"] if is_best else best
                    if epoch % -(-epochs // MOST_PICTURES) == 0 or epoch == epochs:
                        watch.disagreements(step, disagreements)
                    means = epoch_sums.means() if epoch_sums.triplets == len(run.train) else {}
                    watch.validation(step, epoch, scores, model.lin_by_layer(), means)
                    epoch_sums = Window(CPU)
                    save(step, is_best=is_best)
                    saved_at = time.monotonic()
                if epoch == epochs:
                    return scores

                rate = learning_rate(
                    cfg.schedule.value, cfg.learning_rate, cfg.epochs, cfg.decay_epochs, step, per_epoch
                )
                optimiser.param_groups[0]["lr"] = rate
                indices = run.batch(step)
                outcome = training_step(run.train, indices, step)
                window.add(step, *outcome)
                step += 1

                watch.step()
                if step % cfg.log_every == 0 or step % per_epoch == 0:
                    total = window.total()
                    _check_finite(run, total)
                    epoch_sums.include(total)
                    watch.training(step, epoch, {**total.means(), "learning_rate": rate})
                    window = Window(run.device, ranks=ranks)
                if run.check_stop(ranks.first and time.monotonic() - saved_at > 60 * cfg.checkpoint_minutes):
                    save(step)
                    saved_at = time.monotonic()
        except Stopped:
            save(step)
            raise


def _check_finite(run: Run, window: Window) -> None:
    step = window.first_bad_step()
    if step is None:
        return
    triplets = [run.train.locate(index) for index in run.batch(step)]
    names = [{"split": split.name, "index": index} for split, index in triplets]
    file = run.folder / "not_finite.json"
    if run.ranks.first:
        file.write_text(json.dumps({"step": step, "triplets": names}, indent=2) + "\n")
    raise UserError(
        f"{run.folder.name}: the loss or a gradient of step {step} is not finite: its triplets are in {file}, and the"
        f" last checkpoint is as it was: try a lower trainer.learning_rate"
    )
