"""The output of training: that of every run, lin weights, and the worst triplets."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from lpips_repro.metrics.lpips.sparsity import shares_below
from lpips_repro.runs.watch import Watch
from lpips_repro.training.pictures import picture_of
from lpips_repro.training.validation import Disagreement

TRAIN_COLUMNS = ("loss", "train_2afc", "learning_rate", "gradient_norm", "triplets_per_second")
# The page "Custom Scalars". Each chart has the tags that match. TensorBoard sorts groups of tags by name: curves
# (train, val_2afc) come before weights and the worst triplets.
LAYOUT = {
    "training": {
        "loss": ["Multiline", ["^train/loss$"]],
        "2AFC of training (%)": ["Multiline", ["^train/train_2afc$"]],
    },
    "validation": {"2AFC by split (%)": ["Multiline", ["^val_2afc/"]]},
    "lin weights": {"zeros by layer (%)": ["Multiline", ["^weights/zeros_"]]},
}


class TrainingWatch(Watch):
    """The watch of a training run.

    Args:
        folder: the run's folder.
        splits: names of the validation splits.
        step: the step that the run resumes from.
        validations: number of validations so far.
        steps: steps of the run; batch_size: triplets per step.
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
        self.board.add_custom_scalars(LAYOUT)

    def training(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """Write means since the last call, by `TRAIN_COLUMNS`. 2AFC is in [0, 1], and is written in percent."""
        values = {"epoch": epoch, **values, "train_2afc": 100 * values["train_2afc"]}
        self.entry(step, values, f"loss {values['loss']:.4f}, train 2AFC {values['train_2afc']:.2f} %")

    def validation(
        self, step: int, epoch: int, scores: Mapping[str, float], lin: Sequence[Tensor], means: Mapping[str, float]
    ) -> None:
        """Write a validation, after an epoch or before the first one.

        Args:
            step, epoch: numbers of steps and epochs so far.
            scores: 2AFC by split and their mean, in [0, 1].
            lin: the lin weights by layer.
            means: result of `StepSums.means` for the whole epoch; empty before the first one, or if not known.
        """
        for layer, (weights, zeros) in enumerate(zip(lin, shares_below(lin)[0], strict=True), 1):
            self.board.add_histogram(f"weights/lin_{layer}", weights, step)
            self.board.add_scalar(f"weights/zeros_{layer}", zeros, step)
        percent = {name: 100 * score for name, score in scores.items()}
        said = [f"loss {means['loss']:.4f}, train 2AFC {100 * means['train_2afc']:.2f} %"] if means else []
        said.append(f"mean val 2AFC {percent['mean']:.2f} %")
        self.validation_entry(
            step,
            {"epoch": epoch, **{f"val_{name}": score for name, score in percent.items()}},
            {f"val_2afc/{name}": score for name, score in percent.items()},
            f"epoch {epoch}, step {step}/{self.all_steps}: {', '.join(said)}",
        )

    def disagreements(self, step: int, worst: Sequence[Disagreement]) -> None:
        """Write pictures of the triplets that the model gets most wrong, the worst first."""
        for number, one in enumerate(worst, 1):
            self.board.add_image(f"worst/{number}", picture_of(one), step, dataformats="HWC")
