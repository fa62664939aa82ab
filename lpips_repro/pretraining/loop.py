"""The one loop of all pretext tasks.

for each step:
    crops -> examples of the task, drawn from the run's seed and the step's number -> loss -> optimizer
before the first step, every `validate_every` steps and after the last:
    scores of the task on held-out photographs -> checkpoint last.pt
"""

import itertools
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lpips_repro.config import Precision, PretrainConfig
from lpips_repro.devices import fixed_shapes, read_ahead, send
from lpips_repro.precision import tf32
from lpips_repro.pretraining.images import Crops
from lpips_repro.pretraining.sums import Sums
from lpips_repro.pretraining.tasks.task import PretextTask, Score
from lpips_repro.pretraining.watch import PretextWatch
from lpips_repro.runs.backbone import set_step_mode
from lpips_repro.runs.checkpoint import load_latest, save_checkpoint
from lpips_repro.runs.not_finite import bad_step_error, write_bad_step
from lpips_repro.runs.optimizer import make_optimizer
from lpips_repro.runs.order import epoch_order, mixed_seed
from lpips_repro.runs.schedule import learning_rate
from lpips_repro.runs.signals import Stopped

# A score is over this many examples at least, several of a crop where there are fewer, and about so many at most.
SCORED = 1000


@dataclass
class Pretraining:
    """What a run is made of.

    Attributes:
        folder: where checkpoints and logs go.
        identity: what must not change between its starts, by name: digests and settings.
        task: on `device`.
        crops: to learn from, and held out.
        cfg: the settings.
        check_stop: called often; raises `Stopped` if the run is to save and end.
        photographs: files of the crops to learn from, each of which gave as many; a bad step is reported with them.
    """

    folder: Path
    identity: dict[str, Any]
    task: PretextTask
    crops: Crops
    cfg: PretrainConfig
    device: torch.device
    check_stop: Callable[..., bool]
    photographs: Sequence[Path] = ()

    def numbers(self, step: int) -> np.ndarray:
        """The crops of a step: each pass takes all of them in another order, but for a last batch that is not full."""
        size = self.cfg.task.batch_size
        taken, within = divmod(step, len(self.crops.train) // size)
        order = epoch_order(self.cfg.seed, taken, len(self.crops.train))
        return order[within * size : (within + 1) * size]

    def batches(self, step: int) -> Generator[np.ndarray, None, None]:
        """The crops of each step from this one on; the next ones are read while the last ones are learned from."""

        def read(step: int) -> np.ndarray:
            return self.crops.train[self.numbers(step)]

        return read_ahead(read, itertools.count(step))

    def learning_rate(self, step: int) -> float:
        """The rate of a step, which decays in the second half of the run."""
        task, steps = self.cfg.task, self.cfg.task.steps
        each = max(1, len(self.crops.train) // task.batch_size)
        return learning_rate(self.cfg.schedule, task.learning_rate, step, hold=steps / 2, steps=steps, per_epoch=each)

    def generator(self, *numbers: int) -> torch.Generator:
        """What is drawn from depends on the seed and numbers alone, so there is no state to save."""
        return torch.Generator().manual_seed(mixed_seed(self.cfg.seed, *numbers))


def fit(run: Pretraining) -> dict[str, Score]:
    """Learn to the end, from wherever an earlier start of the same run stopped.

    Returns:
        The scores on held-out photographs at the end.

    Raises:
        Stopped: if `run.check_stop` raised it; what is needed to go on is saved.
        UserError: if the loss or a gradient is not finite, or the run in the folder is another one.
    """
    cfg, task, steps = run.cfg, run.task, run.cfg.task.steps
    set_step_mode(task.backbone, cfg.precision, cfg.compile)
    optimizer = make_optimizer(task, cfg.task.learning_rate, cfg.optimizer, cfg.task.beta1)
    step, validated, scores = 0, -1, {}
    entry, period = Sums(run.device), Sums(run.device)  # since the last log entry, and since the last validation

    saved = load_latest(run.folder, run.identity, ("last.pt",))
    if saved is not None:
        task.load_state_dict(saved["task"])
        optimizer.load_state_dict(saved["optimizer"])
        step, validated = saved["step"], saved["validated"]
        scores = {name: Score(*pair) for name, pair in saved["scores"].items()}
        entry = Sums(run.device, {"sums": saved["sums"], "steps": saved["summed"]})
        period = Sums(run.device, saved.get("period"))  # which earlier versions of the code did not save

    def save() -> None:
        _check_finite(run, entry)
        watch.flush()
        content = {"identity": run.identity, "step": step, "validated": validated, "sums": entry.values}
        content |= {"summed": entry.steps, "period": period.state()}
        content |= {"scores": {name: tuple(score) for name, score in scores.items()}}
        content |= {"task": task.state_dict(), "optimizer": optimizer.state_dict()}
        save_checkpoint(run.folder / "last.pt", content)

    saved_at, batches = time.monotonic(), run.batches(step)
    with PretextWatch(run.folder, task, step=step, validated=validated, cfg=cfg.task) as watch:
        try:
            while True:
                if validated < step and (step % cfg.validate_every == 0 or step == steps):
                    means = period.means() if period.steps == step - max(validated, 0) else {}
                    scores, validated = score(run, run.crops.held_out), step
                    watch.validation(step, scores, means)
                    period = Sums(run.device)
                    save()
                    saved_at = time.monotonic()
                if step == steps:
                    return scores

                optimizer.param_groups[0]["lr"] = rate = run.learning_rate(step)
                with tf32(cfg.precision is Precision.tf32):
                    shown, norm = take_step(task, optimizer, send(next(batches), run.device), run.generator(step))
                entry.add(step, shown, norm)
                period.add(step, shown, norm)
                step += 1

                watch.step()
                if step % cfg.log_every == 0 or step == steps:
                    _check_finite(run, entry)
                    watch.training(step, entry.means(), rate)
                    entry = Sums(run.device)
                if time.monotonic() - saved_at > 60 * cfg.checkpoint_minutes:
                    save()
                    saved_at = time.monotonic()
                run.check_stop()
        except Stopped:
            save()
            raise
        finally:
            batches.close()


def take_step(
    task: PretextTask, optimizer: torch.optim.Optimizer, crops: Tensor, generator: torch.Generator
) -> tuple[dict[str, Tensor], Tensor]:
    """Learn from crops, uint8 (N, S, S, 3) on the task's device; a GPU is not waited for.

    Returns:
        The loss and the numbers shown with it, by name, and the norm of the gradient.
    """
    with fixed_shapes(crops.device):
        loss, shown = task.loss(*task.draw(crops, generator))
        optimizer.zero_grad()
        loss.backward()
    norm = torch.nn.utils.get_total_norm([p.grad for p in task.parameters() if p.grad is not None])
    optimizer.step()
    return {name: value.detach() for name, value in {"loss": loss, **shown}.items()}, norm


@torch.no_grad()
def score(run: Pretraining, crops: np.ndarray) -> dict[str, Score]:
    """The task's scores on some crops, by name, each the mean over examples that are drawn alike every time."""
    chosen = np.arange(0, len(crops), max(1, len(crops) // SCORED))
    size = min(run.cfg.task.batch_size, len(chosen))
    sums: dict[str, np.ndarray] = {}
    count = 0
    run.task.eval()
    for number in range(-(-SCORED // len(chosen))):
        generator = run.generator(number, 0)
        order = chosen[torch.randperm(len(chosen), generator=generator).numpy()]
        for start in range(0, len(order) - size + 1, size):  # full ones: chance may depend on how many there are
            given, wanted = run.task.draw(send(crops[order[start : start + size]], run.device), generator)
            for name, pair in run.task.score(given, wanted).items():
                sums[name] = sums.get(name, 0) + np.array(pair)
            count += 1
    run.task.train()
    return {name: Score(*(total / count).tolist()) for name, total in sums.items()}


def _check_finite(run: Pretraining, sums: Sums) -> None:
    step = sums.first_bad_step()
    if step is None:
        return
    count, files = len(run.crops.train), run.photographs
    numbers = run.numbers(step).tolist()
    named = [{"crop": n} | ({"photograph": str(files[n * len(files) // count])} if files else {}) for n in numbers]
    write_bad_step(run.folder, step, "crops", named)
    raise bad_step_error(run.folder, step, "crops", "task.learning_rate")
