"""One whole step of training: triplets by number -> distances -> ranking loss -> Adam -> lin weights back to >= 0."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lpips_repro.config import Precision, TrainerConfig
from lpips_repro.devices import fixed_shapes, warn_of_slow_bfloat16
from lpips_repro.distributed import Ranks
from lpips_repro.errors import UserError
from lpips_repro.metrics.compilation import why_not
from lpips_repro.precision import tf32
from lpips_repro.training.dropout import Dropout, DropoutOfSteps
from lpips_repro.training.model import RankingModel
from lpips_repro.training.triplets import ImageTriplets

BETAS = (0.5, 0.999)


class Outcome(NamedTuple):
    """What a step gave.

    Attributes:
        loss: the mean over the batch (of several ranks: this one's part of the sum); norm: of the whole gradient.
        d0, d1, judge: distances and votes of this rank's triplets, (n,).
    """

    loss: Tensor
    norm: Tensor
    d0: Tensor
    d1: Tensor
    judge: Tensor


class TrainingStep:
    """The step of the loop, ready to be taken again and again.

    Args:
        model: on the device of the triplets.
        optimiser: of `make_optimiser`.
        cfg: the trainer's settings.
        seed: of dropout: that of a step depends on it and the step's number alone.
        ranks: the processes that share every batch.

    Raises:
        UserError: where the precision is not to be had on the device, or nothing can be compiled.
    """

    def __init__(
        self,
        model: RankingModel,
        optimiser: torch.optim.Optimizer,
        cfg: TrainerConfig,
        seed: int,
        ranks: Ranks | None = None,
    ):
        self.model, self.optimiser, self.ranks = model, optimiser, ranks or Ranks()
        self.device = model.lin.device
        check_device(cfg, self.device)
        self.tf32 = cfg.precision is Precision.tf32
        model.bfloat16 = cfg.precision is Precision.bfloat16
        if model.bfloat16 and self.device.type == "cpu":
            warn_of_slow_bfloat16()
        self.dropout = DropoutOfSteps(seed, self.device)
        if cfg.compile:
            share = self.ranks.share(cfg.batch_size)
            model.compile_steps(share.stop - share.start)
        self.objective = self.ranks.parallel(_Objective(model))

    def __call__(self, triplets: ImageTriplets, indices: np.ndarray, step: int) -> Outcome:
        """Learn from the triplets numbered, the batch of all ranks; step: its number in the run."""
        share = self.ranks.share(len(indices))
        own = indices[share]
        # A rank that has no triplet takes one that counts nothing: all ranks meet in the backward pass.
        used = own if len(own) else indices[:1]
        dropout = self.dropout.of(step, len(indices), share.start if len(own) else 0)
        with tf32(self.tf32), fixed_shapes(self.device):
            loss, d0, d1, judge = self.objective(triplets, used, dropout)
            norm = update(self.model, self.optimiser, loss * (len(own) * self.ranks.world / len(indices)))
        n = len(own)
        return Outcome(loss.detach() * (n / len(indices)), norm, d0.detach()[:n], d1.detach()[:n], judge[:n])


class _Objective(nn.Module):
    """From triplets to their loss, as the one module that the ranks have in common."""

    def __init__(self, model: RankingModel):
        super().__init__()
        self.model = model

    def forward(
        self, triplets: ImageTriplets, indices: np.ndarray, dropout: Dropout
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        judge = triplets.votes(indices)
        d0, d1 = triplets.distances(self.model, indices, dropout)
        return self.model.ranking(d0, d1, judge), d0, d1, judge


def make_optimiser(model: RankingModel, rate: float) -> torch.optim.Adam:
    """Adam over all that learns; fused, a quarter of the time of one operation after the other."""
    return torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=rate, betas=BETAS, fused=True)


def update(model: RankingModel, optimiser: torch.optim.Optimizer, loss: Tensor) -> Tensor:
    """Learn from a loss; returns the norm of the gradient."""
    optimiser.zero_grad()
    loss.backward()
    norm = torch.nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
    optimiser.step()
    model.project()
    return norm


def check_device(cfg: TrainerConfig, device: torch.device) -> None:
    """UserError where a device has not the precision, or nothing can be compiled for it."""
    if cfg.precision is Precision.tf32 and device.type != "cuda":
        raise UserError("trainer.precision=tf32: only a GPU computes so: use float32 or bfloat16")
    if cfg.compile and (reason := why_not(device)):
        raise UserError(f"trainer.compile=true: {reason}, or leave it false")
