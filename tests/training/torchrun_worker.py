"""What a rank does for `test_torchrun`: python -m torch.distributed.run tests/training/torchrun_worker.py FOLDER ...

Usage: torchrun_worker.py FOLDER VARIANT BATCH STEPS [dropout]

It takes the first steps of a run on the splits in FOLDER in float64; the first rank writes result-<world>.pt there.
"""

import sys
from pathlib import Path

import torch

from lpips_repro.backbones import gaussian_state
from lpips_repro.datasets.packed import open_split
from lpips_repro.distributed import Ranks, started_ranks
from lpips_repro.runs.optimizer import make_optimizer
from lpips_repro.training import validation
from lpips_repro.training.batch import ImageBatch
from lpips_repro.training.loop import Run
from lpips_repro.training.model import RankingModel
from lpips_repro.training.step import TrainingStep
from lpips_repro.training.step_sums import StepSums
from lpips_repro.training.triplets import ImageTriplets
from tests.training.tiny import CPU, trainer


class Double(ImageTriplets):
    """Triplets as float64 images."""

    def batch(self, indices):
        return ImageBatch(*(field[indices].permute(0, 3, 1, 2).double() / 127.5 - 1 for field in self.fields))

    def votes(self, indices):
        return super().votes(indices).double()


def work(*words: str) -> None:
    """Do what the words of the command line say, as one of the ranks that torchrun has started, or alone."""
    with started_ranks() as ranks:
        take_steps(Path(words[0]), words[1], int(words[2]), int(words[3]), words[4:] == ("dropout",), ranks)


def take_steps(folder: Path, variant: str, batch: int, steps: int, dropout: bool, ranks: Ranks) -> None:
    torch.set_num_threads(1)
    # Each rank begins with weights of its own: those of the first are meant.
    torch.manual_seed(ranks.rank)
    model = RankingModel("alex", variant, "0.1", gaussian_state("alex", 0), dropout=dropout).double()
    train = Double([open_split(folder / name) for name in ("train-cnn", "train-mix")], CPU)
    val = Double([open_split(folder / "val-color")], CPU)
    cfg = trainer(f"batch_size={batch}")
    run = Run(folder, {}, model, train, {"color": val}, cfg, 0, CPU, lambda: None, ranks)
    # At 1e-4 these few triplets of noise are learnt by heart in 40 steps, and then rounding grows tenfold every other
    # step, in one process too.
    training_step, sums = TrainingStep(model, make_optimizer(model, 3e-5), cfg, 0, ranks), StepSums(CPU, ranks=ranks)
    norms = []
    for step in range(steps):
        outcome = training_step(train, run.numbers(step), step)
        sums.add(step, *outcome)
        norms.append(outcome.norm)
    total = sums.total()
    validation.BATCH = 5  # three batches of the 12 triplets
    scores = validation.validate(model, run.val, run.check_stop, ranks).scores
    if ranks.first:
        content = {"model": model.state_dict(), "norms": torch.stack(norms), "means": total.means(), "scores": scores}
        torch.save(content, folder / f"result-{ranks.world}.pt")


if __name__ == "__main__":
    work(*sys.argv[1:])
