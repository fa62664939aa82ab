"""Sums of a task's numbers over steps, on the task's device, since reading them waits for a GPU."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lpips_repro.distributed import Ranks


class StepSums:
    """Sums by name, and the number of steps.

    Args:
        device: the device of the sums.
        saved: result of `state`; None for empty sums.
        ranks: the processes that share each batch. Saved sums are those of all ranks, and are added to the first's.
    """

    def __init__(self, device: torch.device, saved: Mapping[str, Any] | None = None, ranks: Ranks | None = None):
        saved, self.ranks = saved or {"sums": {}, "steps": 0}, ranks or Ranks()
        sums = saved["sums"] if self.ranks.first else {}
        self.values = {name: value.to(device) for name, value in sums.items()}
        self.steps = saved["steps"]
        self.first_bad = torch.full((), math.inf, dtype=torch.float64, device=device)

    def add(self, step: int, shown: Mapping[str, Tensor], norm: Tensor) -> None:
        """Add a step: its number, its numbers by name, and the norm of its gradient. It does not wait for a GPU."""
        is_finite = torch.stack([value.isfinite() for value in (*shown.values(), norm)]).all()
        bad = torch.full_like(self.first_bad, math.inf).masked_fill_(~is_finite, step)
        self.first_bad = torch.minimum(self.first_bad, bad)
        for name, value in shown.items():
            self.values[name] = self.values.get(name, 0) + value
        self.steps += 1

    def total(self) -> "StepSums":
        """The sums over all ranks. It waits for them."""
        if self.ranks.world == 1:
            return self
        parts = self.ranks.gather((self.first_bad.item(), {name: value.item() for name, value in self.values.items()}))
        names = dict.fromkeys(name for _, part in parts for name in part)
        sums = {name: torch.tensor(sum(part.get(name, 0.0) for _, part in parts)) for name in names}
        total = StepSums(torch.device("cpu"), {"sums": sums, "steps": self.steps})
        total.first_bad.fill_(min(bad for bad, _ in parts))
        return total

    def means(self) -> dict[str, float]:
        """The means over the steps, by name."""
        return {name: value.item() / self.steps for name, value in self.values.items()}

    def first_bad_step(self) -> int | None:
        """The first step with a number or gradient that is not finite, or None."""
        step = self.first_bad.item()
        return None if math.isinf(step) else int(step)

    def state(self) -> dict[str, Any]:
        """The state for a checkpoint."""
        return {"sums": self.values, "steps": self.steps}
