"""The output of pretraining: that of every run (`lpips_repro.runs.watch`), and scores with their chance."""

from collections.abc import Mapping
from pathlib import Path

from lpips_repro.config import TaskConfig
from lpips_repro.pretraining.tasks.task import PretextTask, Score
from lpips_repro.runs.watch import Watch


class PretextWatch(Watch):
    """The watch of a pretraining run.

    Args:
        folder: the run's folder.
        task: the task whose numbers are shown.
        step: the step that the run resumes from.
        validated: step of the last validation; -1 for none.
        cfg: the task's settings.
    """

    def __init__(self, folder: Path, task: PretextTask, *, step: int, validated: int, cfg: TaskConfig):
        super().__init__(
            folder,
            ("step", "loss", *task.shown, "learning_rate", "images_per_second"),
            ("step", *(f"held_out_{name}{kind}" for name in task.scores for kind in ("", "_chance"))),
            step=step,
            steps=cfg.steps,
            batch_size=cfg.batch_size,
            unit="image",
            counts=lambda row: row["step"] <= validated,
            validated=validated >= 0,
        )

    def training(self, step: int, means: Mapping[str, float], rate: float) -> None:
        """Write means over the steps since the last entry, by name, and the learning rate."""
        self.entry(step, {**means, "learning_rate": rate}, f"loss {means['loss']:.4f}")

    def validation(self, step: int, scores: Mapping[str, Score], means: Mapping[str, float]) -> None:
        """Write scores on held-out photographs, and means over the steps since the last validation, if known."""
        pairs = {name: {"": value, "_chance": chance} for name, (value, chance) in scores.items()}
        values = {f"{name}{kind}": number for name, pair in pairs.items() for kind, number in pair.items()}
        said = ", ".join(f"{name} {value:.4f} (chance {chance:.4f})" for name, (value, chance) in scores.items())
        loss = f"loss {means['loss']:.4f}, " if means else ""
        self.validation_entry(
            step,
            {f"held_out_{name}": number for name, number in values.items()},
            {f"held_out/{name}": number for name, number in values.items()},
            f"step {step}/{self.all_steps}: {loss}held out: {said}",
        )
