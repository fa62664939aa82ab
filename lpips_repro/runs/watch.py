"""The output of a run: a progress bar, a line per validation in the log, two CSV files and TensorBoard."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from lpips_repro.files import naming
from lpips_repro.progress import Progress
from lpips_repro.runs.metrics_csv import KEYS, MetricsCsv
from lpips_repro.runs.tensorboard import open_board

log = logging.getLogger(__name__)


class Watch:
    """Writes to `metrics.csv`, `validation.csv` and TensorBoard's event files in a run's folder.

    Args:
        folder: the run's folder.
        training: columns of `metrics.csv`; validation: those of `validation.csv`.
        step: the step that the run resumes from. Rows of later steps, and incomplete rows, are removed.
        steps: steps of the run; batch_size: examples per step; unit: the word for an example.
        counts: whether a row of `validation.csv` belongs to the resumed state.
        validated: whether there is such a row.
    """

    def __init__(
        self,
        folder: Path,
        training: Sequence[str],
        validation: Sequence[str],
        *,
        step: int,
        steps: int,
        batch_size: int,
        unit: str,
        counts: Callable[[dict[str, float]], bool],
        validated: bool,
    ):
        self.folder = folder
        self.first_step, self.all_steps, self.batch_size = step, steps, batch_size
        self.rate = f"{unit}s_per_second"
        metrics = folder / "metrics.csv"
        self.validation_csv = MetricsCsv(folder / "validation.csv", validation, counts, earlier=metrics)
        self.csv = MetricsCsv(metrics, training, lambda row: row["step"] <= step)
        self.board = open_board(folder, purge_step=step + 1 if validated else 0)
        self.bar = Progress(
            total=steps * batch_size,
            initial=step * batch_size,
            desc=folder.name,
            unit=unit,
            unit_scale=True,
            dynamic_ncols=True,
        )
        self.steps, self.since = 0, time.monotonic()  # since the last entry, without validation
        self.started = self.since

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()
        with naming(self.folder):
            self.board.close()
            self.csv.close()
            self.validation_csv.close()

    def step(self) -> None:
        """Count a step."""
        self.steps += 1
        self.bar.update(self.batch_size)

    def entry(self, step: int, values: Mapping[str, float], words: str) -> None:
        """Write means since the last entry, and the rate, to `metrics.csv` and TensorBoard; words: text of the bar."""
        now = time.monotonic()
        values = {**values, self.rate: self.steps * self.batch_size / (now - self.since)}
        self.steps, self.since = 0, now
        self.csv.row({"step": step, **values})
        with naming(self.folder):
            for name, value in values.items():
                if name not in KEYS:
                    self.board.add_scalar(f"train/{name}", value, step)
        self.bar.set_postfix_str(words, refresh=False)

    def validation_entry(self, step: int, row: Mapping[str, float], scalars: Mapping[str, float], words: str) -> None:
        """Write a validation.

        Args:
            step: the step before the validation.
            row: values for `validation.csv`; scalars: values for TensorBoard; words: text for the log.
        """
        self.validation_csv.row({"step": step, **row})
        with naming(self.folder):
            for name, value in scalars.items():
                self.board.add_scalar(name, value, step)
        self.since = time.monotonic()
        if step == self.first_step:  # the time of the validation before the first step does not count
            self.started = self.since
        elif step < self.all_steps:
            pace = (self.since - self.started) / (step - self.first_step)
            words += f", {Progress.format_interval(pace * (self.all_steps - step))} left"
        # The log line is needed in a file, where there is no bar.
        with Progress.external_write_mode():  # not into the bar's line
            log.info("%s", words)

    def flush(self) -> None:
        """Write pending events to disk, so that they survive a kill -9."""
        with naming(self.folder):
            self.board.flush()


class Unwatched:
    """Replaces `Watch` on ranks other than the first. It writes nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None
