"""What a run shows of itself: a progress bar, a line in the log at each validation, metrics.csv and TensorBoard."""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from lpips_repro.datasets.packed import IMAGE_FIELDS
from lpips_repro.progress import Progress
from lpips_repro.runs.metrics_csv import MetricsCsv

log = logging.getLogger(__name__)

TRAIN_COLUMNS = ("loss", "train_2afc", "learning_rate", "gradient_norm", "triplets_per_second")


class Watch:
    """Writes to `metrics.csv` and `tensorboard/` in a run's folder.

    Args:
        folder: the run's.
        splits: names of the validation splits.
        step: where the run goes on; what was written of later steps before it was killed, or is no whole row, is
            taken back.
        validations: validations that count.
        steps: of the whole run; batch_size: triplets in a step.
    """

    def __init__(
        self, folder: Path, splits: Sequence[str], *, step: int, validations: int, steps: int, batch_size: int
    ):
        self.first_step, self.all_steps, self.batch_size = step, steps, batch_size
        self.columns = ("step", "epoch", *TRAIN_COLUMNS, *(f"val_{name}" for name in splits), "val_mean")

        def counts(row: dict[str, float]) -> bool:
            return row["step"] <= step if math.isnan(row["val_mean"]) else row["epoch"] < validations

        self.csv = MetricsCsv(folder / "metrics.csv", self.columns, counts)
        self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if validations else 0)
        self.bar = Progress(
            total=steps * batch_size,
            initial=step * batch_size,
            desc=folder.name,
            unit="triplet",
            unit_scale=True,
            dynamic_ncols=True,
        )
        self.steps, self.since = 0, time.monotonic()  # since the last entry, validation left out
        self.started = self.since

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()
        self.board.close()
        self.csv.close()

    def step(self) -> None:
        """Count a step."""
        self.steps += 1
        self.bar.update(self.batch_size)

    def training(self, step: int, epoch: int, values: dict[str, float]) -> None:
        """Means since the last call, by `TRAIN_COLUMNS`; 2AFC in [0, 1], written in percent."""
        now = time.monotonic()
        rate = self.steps * self.batch_size / (now - self.since)
        self.steps, self.since = 0, now
        values = {**values, "train_2afc": 100 * values["train_2afc"], "triplets_per_second": rate}
        self.csv.row({"step": step, "epoch": epoch, **values})
        for name, value in values.items():
            self.board.add_scalar(f"train/{name}", value, step)
        self.bar.set_postfix_str(f"loss {values['loss']:.4f}, train 2AFC {values['train_2afc']:.2f} %", refresh=False)

    def validation(
        self, step: int, epoch: int, scores: dict[str, float], lin: Sequence[Tensor], means: Mapping[str, float]
    ) -> None:
        """After an epoch, or before the first one.

        Args:
            step, epoch: how many there were.
            scores: 2AFC by split and their mean, in [0, 1].
            lin: the lin weights by layer.
            means: of `Window.means` over the whole epoch; empty before the first one, or if they are not known.
        """
        percent = {f"val_{name}": 100 * score for name, score in scores.items()}
        self.csv.row({"step": step, "epoch": epoch, **percent})
        for name, score in scores.items():
            self.board.add_scalar(f"val_2afc/{name}", 100 * score, step)
        for layer, weights in enumerate(lin):
            self.board.add_histogram(f"lin/{layer}", weights, step)
        self.since = time.monotonic()
        self._log(step, epoch, scores["mean"], means)

    def disagreements(self, step: int, triplets: Sequence[tuple[str, dict[str, np.ndarray]]]) -> None:
        """Images of triplets, each with what is said of it."""
        strips = [np.concatenate([arrays[name] for name in IMAGE_FIELDS["2afc"]], axis=1) for _, arrays in triplets]
        self.board.add_image("disagreements", np.concatenate(strips, axis=0), step, dataformats="HWC")
        table = "\n".join(f"| {text} |" for text, _ in triplets)
        self.board.add_text("disagreements", f"| ref, p0, p1 from above |\n|---|\n{table}", step)

    def flush(self) -> None:
        """Let what was written outlive a kill -9."""
        self.board.flush()

    def _log(self, step: int, epoch: int, score: float, means: Mapping[str, float]) -> None:
        """The bar is seen on a terminal only: this is seen in a file too."""
        said = [f"loss {means['loss']:.4f}, train 2AFC {100 * means['train_2afc']:.2f} %"] if means else []
        said.append(f"mean val 2AFC {100 * score:.2f} %")
        if step == self.first_step:  # the validation before the first step is no part of the pace
            self.started = self.since
        elif step < self.all_steps:
            pace = (self.since - self.started) / (step - self.first_step)
            said.append(f"{Progress.format_interval(pace * (self.all_steps - step))} left")
        with Progress.external_write_mode():  # not into the bar's line
            log.info("epoch %d, step %d/%d: %s", epoch, step, self.all_steps, ", ".join(said))


class Unwatched:
    """What the ranks other than the first have in place of a `Watch`: nothing is said or written."""

    def __enter__(self) -> "Unwatched":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None
