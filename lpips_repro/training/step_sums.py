"""Sums over the steps of a log entry or an epoch, on the model's device, since reading them waits for a GPU."""

import math

import torch
from torch import Tensor

from lpips_repro.devices import send
from lpips_repro.distributed import Ranks

_STEPS, _LOSS, _NORM, _TRIPLETS, _CREDIT, _FIRST_BAD = range(6)


class StepSums:
    """Sums of loss, gradient norm and 2AFC credit.

    Args:
        device: the device of the sums.
        values: values of saved sums, or None.
        ranks: the processes that share each batch. Only the first counts steps and norms, which all have in common.
    """

    def __init__(self, device: torch.device, values: Tensor | None = None, ranks: Ranks | None = None):
        self.ranks = ranks or Ranks()
        if values is None or not self.ranks.first:
            values = torch.zeros(6, dtype=torch.float64)
            values[_FIRST_BAD] = math.inf
        self.values = send(values, device)

    @torch.no_grad()
    def add(self, step: int, loss: Tensor, norm: Tensor, d0: Tensor, d1: Tensor, judge: Tensor) -> None:
        """Add a step: its number, loss, gradient norm, distances (N,) and votes (N,). It does not wait for a GPU."""
        credit = ((d1 < d0) * judge + (d0 < d1) * (1 - judge) + (d0 == d1) * 0.5).sum()
        bad = torch.full_like(loss, math.inf, dtype=torch.float64)
        bad.masked_fill_(~(loss.isfinite() & norm.isfinite()), step)
        first = float(self.ranks.first)
        # The GPU makes these numbers: sending them would wait for it.
        steps, triplets = (torch.full_like(bad, number) for number in (first, len(d0)))
        sums = (steps, loss.double(), first * norm.double(), triplets, credit.double())
        self.values[:_FIRST_BAD] += torch.stack(sums)
        self.values[_FIRST_BAD] = torch.minimum(self.values[_FIRST_BAD], bad)

    def include(self, other: "StepSums") -> None:
        """Add other sums on the same device."""
        self.values[:_FIRST_BAD] += other.values[:_FIRST_BAD]
        self.values[_FIRST_BAD] = torch.minimum(self.values[_FIRST_BAD], other.values[_FIRST_BAD])

    def total(self) -> "StepSums":
        """The sums over all ranks. It waits for them."""
        found = torch.tensor(self.ranks.gather(self.values.tolist()), dtype=torch.float64)
        values = found.sum(dim=0)
        values[_FIRST_BAD] = found[:, _FIRST_BAD].min()
        return StepSums(values.device, values)

    @property
    def triplets(self) -> int:
        """The number of triplets."""
        return int(self.values[_TRIPLETS].item())

    def first_bad_step(self) -> int | None:
        """The first step whose loss or gradient was not finite, or None."""
        step = self.values[_FIRST_BAD].item()
        return None if math.isinf(step) else int(step)

    def means(self) -> dict[str, float]:
        """Mean loss and gradient norm per step, and mean 2AFC credit per triplet, in [0, 1]."""
        values = self.values.tolist()
        return {
            "loss": values[_LOSS] / values[_STEPS],
            "gradient_norm": values[_NORM] / values[_STEPS],
            "train_2afc": values[_CREDIT] / values[_TRIPLETS],
        }
