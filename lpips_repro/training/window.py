"""Sums over the steps since the last log entry, kept where the model is: reading them is what makes a GPU wait."""

import math

import torch
from torch import Tensor

_STEPS, _LOSS, _NORM, _TRIPLETS, _CREDIT, _FIRST_BAD = range(6)


class Window:
    """Sums of loss, gradient norm and 2AFC credit.

    Args:
        device: where they are kept.
        values: of a window that was saved, or None for an empty one.
    """

    def __init__(self, device: torch.device, values: Tensor | None = None):
        if values is None:
            values = torch.zeros(6, dtype=torch.float64)
            values[_FIRST_BAD] = math.inf
        self.values = values.to(device)

    @torch.no_grad()
    def add(self, step: int, loss: Tensor, norm: Tensor, d0: Tensor, d1: Tensor, judge: Tensor) -> None:
        """Count a step: its number, loss and gradient norm, the distances (N,) and votes (N,)."""
        credit = torch.where(d0 == d1, 0.5, torch.where(d1 < d0, judge, 1 - judge)).sum()
        finite = loss.isfinite() & norm.isfinite()
        bad = torch.where(finite, math.inf, torch.full_like(loss, step, dtype=torch.float64))
        sums = torch.stack([x.double() for x in (loss.new_ones(()), loss, norm, loss.new_tensor(len(d0)), credit)])
        self.values[:_FIRST_BAD] += sums
        self.values[_FIRST_BAD] = torch.minimum(self.values[_FIRST_BAD], bad)

    def first_bad_step(self) -> int | None:
        """The first step whose loss or gradient was not finite, or None."""
        step = self.values[_FIRST_BAD].item()
        return None if math.isinf(step) else int(step)

    def means(self) -> dict[str, float]:
        """Mean loss and gradient norm of a step, and mean 2AFC credit of a triplet, in [0, 1]."""
        values = self.values.tolist()
        return {
            "loss": values[_LOSS] / values[_STEPS],
            "gradient_norm": values[_NORM] / values[_STEPS],
            "train_2afc": values[_CREDIT] / values[_TRIPLETS],
        }
