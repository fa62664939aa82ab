"""What pretraining shows of itself: a progress bar, a line in the log at each validation, metrics.csv, TensorBoard."""

import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from lpips_repro.config import TaskConfig
from lpips_repro.pretraining.task import PretextTask, Score
from lpips_repro.progress import Progress
from lpips_repro.runs.metrics_csv import MetricsCsv

log = logging.getLogger(__name__)


class PretextWatch:
    """Writes to `metrics.csv` and `tensorboard/` in a run's folder.

    Args:
        folder: the run's.
        task: whose numbers are shown.
        step: where the run goes on; what was written of later steps before it was killed is taken back.
        validated: the step of the last validation that counts.
        cfg: the task's settings.
    """

    def __init__(self, folder: Path, task: PretextTask, *, step: int, validated: int, cfg: TaskConfig):
        self.first_step, self.cfg = step, cfg
        scores = [f"held_out_{name}{kind}" for name in task.scores for kind in ("", "_chance")]
        self.columns = ("step", "loss", *task.shown, "learning_rate", "images_per_second", *scores)

        def counts(row: dict[str, float]) -> bool:
            return row["step"] <= (validated if math.isnan(row["loss"]) else step)

        self.csv = MetricsCsv(folder / "metrics.csv", self.columns, counts)
        self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if validated >= 0 else 0)
        self.bar = Progress(total=cfg.steps, initial=step, desc=folder.name, unit="step", dynamic_ncols=True)
        self.steps, self.since = 0, time.monotonic()  # since the last entry, validation left out

    def __enter__(self) -> "PretextWatch":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()
        self.board.close()
        self.csv.close()

    def step(self) -> None:
        """Count a step."""
        self.steps += 1
        self.bar.update()

    def training(self, step: int, means: dict[str, float], rate: float) -> None:
        """Means over the steps since the last entry, by name, and the learning rate."""
        now = time.monotonic()
        values = {**means, "learning_rate": rate}
        values["images_per_second"] = self.steps * self.cfg.batch_size / (now - self.since)
        self.steps, self.since = 0, now
        self.csv.row({"step": step, **values})
        for name, value in values.items():
            self.board.add_scalar(f"train/{name}", value, step)
        self.bar.set_postfix_str(f"loss {means['loss']:.4f}", refresh=False)

    def validation(self, step: int, scores: dict[str, Score], means: Mapping[str, float]) -> None:
        """Scores on held-out photographs by name, and the means over the steps since the last validation, if known."""
        row, said = {"step": step}, []
        for name, (value, chance) in scores.items():
            row |= {f"held_out_{name}": value, f"held_out_{name}_chance": chance}
            self.board.add_scalar(f"held_out/{name}", value, step)
            self.board.add_scalar(f"held_out/{name}_chance", chance, step)
            said.append(f"{name} {value:.4f} (chance {chance:.4f})")
        self.csv.row(row)
        loss = f"loss {means['loss']:.4f}, " if means else ""
        with Progress.external_write_mode():  # not into the bar's line
            log.info("step %d/%d: %sheld out: %s", step, self.cfg.steps, loss, ", ".join(said))
        self.since = time.monotonic()

    def flush(self) -> None:
        """Let what was written outlive a kill -9."""
        self.board.flush()
