"""What training shows of itself, above what every run does (`lpips_repro.runs.watch`): lin weights, disagreements."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.runs.watch import Watch

TRAIN_COLUMNS = ("loss", "train_2afc", "learning_rate", "gradient_norm", "triplets_per_second")


class TrainingWatch(Watch):
    """The watch of a training run.

    Args:
        folder: the run's.
        splits: names of the validation splits.
        step: where the run goes on.
        validations: validations that count.
        steps: of the whole run; batch_size: triplets in a step.
    """

    def __init__(
        self, folder: Path, splits: Sequence[str], *, step: int, validations: int, steps: int, batch_size: int
    ):
        super().__init__(
            folder,
            ("step", "epoch", *TRAIN_COLUMNS),
            ("step", "epoch", *(f"val_{name}" for name in splits), "val_mean"),
            step=step,
            steps=steps,
            batch_size=batch_size,
            unit="triplet",
            counts=lambda row: row["epoch"] < validations,
            validated=validations > 0,
        )

    def training(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """Means since the last call, by `TRAIN_COLUMNS`; 2AFC in [0, 1], written in percent."""
        values = {"epoch": epoch, **values, "train_2afc": 100 * values["train_2afc"]}
        self.entry(step, values, f"loss {values['loss']:.4f}, train 2AFC {values['train_2afc']:.2f} %")

    def validation(
        self, step: int, epoch: int, scores: Mapping[str, float], lin: Sequence[Tensor], means: Mapping[str, float]
    ) -> None:
        """After an epoch, or before the first one.

        Args:
            step, epoch: how many there were.
            scores: 2AFC by split and their mean, in [0, 1].
            lin: the lin weights by layer.
            means: of `StepSums.means` over the whole epoch; empty before the first one, or if they are not known.
        """
        for layer, weights in enumerate(lin):
            self.board.add_histogram(f"lin/{layer}", weights, step)
        percent = {name: 100 * score for name, score in scores.items()}
        said = [f"loss {means['loss']:.4f}, train 2AFC {100 * means['train_2afc']:.2f} %"] if means else []
        said.append(f"mean val 2AFC {percent['mean']:.2f} %")
        self.validation_entry(
            step,
            {"epoch": epoch, **{f"val_{name}": score for name, score in percent.items()}},
            {f"val_2afc/{name}": score for name, score in percent.items()},
            f"epoch {epoch}, step {step}/{self.all_steps}: {', '.join(said)}",
        )

    def disagreements(self, step: int, triplets: Sequence[tuple[str, dict[str, np.ndarray]]]) -> None:
        """Images of triplets, each with what is said of it."""
        strips = [np.concatenate([arrays[name] for name in TWOAFC.images], axis=1) for _, arrays in triplets]
        self.board.add_image("disagreements", np.concatenate(strips, axis=0), step, dataformats="HWC")
        table = "\n".join(f"| {text} |" for text, _ in triplets)
        self.board.add_text("disagreements", f"| ref, p0, p1 from above |\n|---|\n{table}", step)
