"""A training step: triplets by number -> distances -> ranking loss -> optimizer -> lin weights clamped to >= 0."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lpips_repro.config import Precision, TrainerConfig
from lpips_repro.devices import fixed_shapes
from lpips_repro.distributed import Ranks
from lpips_repro.precision import tf32
from lpips_repro.runs.step_mode import check_device
from lpips_repro.training.dropout import Dropout, DropoutOfSteps
from lpips_repro.training.model import RankingModel
from lpips_repro.training.triplets import ImageTriplets


class Outcome(NamedTuple):
    """The result of a step.

    Attributes:
        loss: mean over the batch (with several ranks: this rank's part of the sum); norm: norm of the gradient.
        d0, d1, judge: distances and votes of this rank's triplets, (n,).
    """

    loss: Tensor
    norm: Tensor
    d0: Tensor
    d1: Tensor
    judge: Tensor


class TrainingStep:
    """The step of the loop, a callable.

    Args:
        model: the model, on the device of the triplets.
        optimizer: the result of `make_optimizer`.
        cfg: the trainer's settings.
        seed: seed of dropout, which depends only on it and the step's number.
        ranks: the processes that share each batch.

    Raises:
        UserError: if the device does not support the precision or compilation.
    """

    def __init__(
        self,
        model: RankingModel,
        optimizer: torch.optim.Optimizer,
        cfg: TrainerConfig,
        seed: int,
        ranks: Ranks | None = None,
    ):
        self.model, self.optimizer, self.ranks = model, optimizer, ranks or Ranks()
        self.device = model.lin.device
        check_device(cfg.precision, cfg.compile, self.device, "trainer.")
        self.tf32 = cfg.precision is Precision.tf32
        model.steps_in_bfloat16 = cfg.precision is Precision.bfloat16
        self.dropout = DropoutOfSteps(seed, self.device)
        if cfg.compile:
            share = self.ranks.share(cfg.batch_size)
            model.compile_steps(share.stop - share.start)
        self.objective = self.ranks.parallel(_Objective(model))

    def __call__(self, triplets: ImageTriplets, indices: np.ndarray, step: int) -> Outcome:
        """Take a step on triplets; indices: numbers of the batch of all ranks; step: number of the step in the run."""
        share = self.ranks.share(len(indices))
        own = indices[share]
        # A rank without triplets takes one with weight 0, since all ranks synchronize in the backward pass.
        used = own if len(own) else indices[:1]
        dropout = self.dropout.of(step, len(indices), share.start if len(own) else 0)
        with tf32(self.tf32), fixed_shapes(self.device):
            loss, d0, d1, judge = self.objective(triplets, used, dropout)
            norm = update(self.model, self.optimizer, loss * (len(own) * self.ranks.world / len(indices)))
        n = len(own)
        return Outcome(loss.detach() * (n / len(indices)), norm, d0.detach()[:n], d1.detach()[:n], judge[:n])


class _Objective(nn.Module):
    """From triplets to their loss, as one module for DistributedDataParallel."""

    def __init__(self, model: RankingModel):
        super().__init__()
        self.model = model

    def forward(
        self, triplets: ImageTriplets, indices: np.ndarray, dropout: Dropout
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        judge = triplets.votes(indices)
        d0, d1 = self.model.distances(triplets.batch(indices), dropout)
        return self.model.ranking(d0, d1, judge), d0, d1, judge


def update(model: RankingModel, optimizer: torch.optim.Optimizer, loss: Tensor) -> Tensor:
    """Take an optimizer step for a loss, and return the norm of the gradient."""
    optimizer.zero_grad()
    loss.backward()
    norm = torch.nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
    optimizer.step()
    model.project()
    return norm
