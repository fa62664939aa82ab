"""Sums over steps of what a task shows, kept where the task is: reading them is what makes a GPU wait."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class Sums:
    """Sums by name, and over how many steps.

    Args:
        device: where they are kept.
        saved: what `state` gave; None for empty ones.
    """

    def __init__(self, device: torch.device, saved: Mapping[str, Any] | None = None):
        saved = saved or {"sums": {}, "steps": 0}
        self.values = {name: value.to(device) for name, value in saved["sums"].items()}
        self.steps = saved["steps"]

    def add(self, shown: Mapping[str, Tensor]) -> None:
        """Count a step; waits for no GPU."""
        for name, value in shown.items():
            self.values[name] = self.values.get(name, 0) + value
        self.steps += 1

    def means(self) -> dict[str, float]:
        """The mean of each over the steps."""
        return {name: value.item() / self.steps for name, value in self.values.items()}

    def is_finite(self) -> bool:
        """Whether all of them are finite numbers."""
        return all(bool(value.isfinite()) for value in self.values.values())

    def state(self) -> dict[str, Any]:
        """All that is needed to go on with them."""
        return {"sums": self.values, "steps": self.steps}
