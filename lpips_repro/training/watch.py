"""What a run shows of itself: a progress bar, metrics.csv and TensorBoard."""

import csv
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from lpips_repro.datasets.packed import IMAGE_FIELDS

TRAIN_COLUMNS = ("loss", "train_2afc", "learning_rate", "gradient_norm", "triplets_per_second")


class Watch:
    """Writes to `metrics.csv` and `tensorboard/` in a run's folder.

    Args:
        folder: the run's.
        splits: names of the validation splits.
        step: where the run goes on; what was written of later steps before it was killed is taken back.
        validations: validations that count.
        steps: of the whole run; batch_size: triplets in a step.
    """

    def __init__(
        self, folder: Path, splits: Sequence[str], *, step: int, validations: int, steps: int, batch_size: int
    ):
        self.batch_size = batch_size
        self.columns = ("step", "epoch", *TRAIN_COLUMNS, *(f"val_{name}" for name in splits), "val_mean")
        file = folder / "metrics.csv"
        self._take_back(file, step, validations)
        self.file = file.open("a", newline="")
        self.csv = csv.DictWriter(self.file, self.columns)
        if file.stat().st_size == 0:
            self.csv.writeheader()
        self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if validations else 0)
        self.bar = tqdm(
            total=steps * batch_size,
            initial=step * batch_size,
            desc=folder.name,
            unit="triplet",
            unit_scale=True,
            disable=None,
            dynamic_ncols=True,
        )
        self.steps, self.since = 0, time.monotonic()  # since the last entry, validation left out

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()
        self.board.close()
        self.file.close()

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
        self._row(step, epoch, values)
        for name, value in values.items():
            self.board.add_scalar(f"train/{name}", value, step)
        self.bar.set_postfix_str(f"loss {values['loss']:.4f}, 2AFC {values['train_2afc']:.2f} %", refresh=False)

    def validation(self, step: int, epoch: int, scores: dict[str, float], lin: Sequence[Tensor]) -> None:
        """2AFC scores by split and their mean, in [0, 1], and the lin weights by layer."""
        percent = {f"val_{name}": 100 * score for name, score in scores.items()}
        self._row(step, epoch, percent)
        for name, score in scores.items():
            self.board.add_scalar(f"val_2afc/{name}", 100 * score, step)
        for layer, weights in enumerate(lin):
            self.board.add_histogram(f"lin/{layer}", weights, step)
        self.since = time.monotonic()

    def disagreements(self, step: int, triplets: Sequence[tuple[str, dict[str, np.ndarray]]]) -> None:
        """Images of triplets, each with what is said of it."""
        strips = [np.concatenate([arrays[name] for name in IMAGE_FIELDS["2afc"]], axis=1) for _, arrays in triplets]
        self.board.add_image("disagreements", np.concatenate(strips, axis=0), step, dataformats="HWC")
        table = "\n".join(f"| {text} |" for text, _ in triplets)
        self.board.add_text("disagreements", f"| ref, p0, p1 from above |\n|---|\n{table}", step)

    def text(self, name: str, text: str, step: int) -> None:
        """Markdown, in TensorBoard."""
        self.board.add_text(name, text, step)

    def flush(self) -> None:
        """Let what was written outlive a kill -9."""
        self.file.flush()
        self.board.flush()

    def _row(self, step: int, epoch: int, values: dict[str, Any]) -> None:
        self.csv.writerow({"step": step, "epoch": epoch, **{key: f"{value:.6g}" for key, value in values.items()}})
        self.file.flush()

    def _take_back(self, file: Path, step: int, validations: int) -> None:
        if not file.is_file():
            return
        with file.open(newline="") as old:
            rows = list(csv.DictReader(old))
        kept = [
            row for row in rows if (int(row["epoch"]) < validations if row["val_mean"] else int(row["step"]) <= step)
        ]
        partial = file.with_name(".metrics.csv")
        with partial.open("w", newline="") as new:
            writer = csv.DictWriter(new, self.columns)
            writer.writeheader()
            writer.writerows(kept)
        partial.replace(file)
