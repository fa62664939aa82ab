"""A few steps of learning, and patches to learn from."""

import functools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from lpips_repro.datasets.mini.photographs import PHOTOGRAPHS
from lpips_repro.photographs.crops import crop_photograph
from lpips_repro.pretraining.tasks.task import PretextTask

Examples = tuple[Tensor, Tensor]


@functools.cache
def patches(count: int, size: int, phase: str = "train") -> Tensor:
    """Crops of the photographs of a phase of mini, uint8 (count, size, size, 3)."""
    files = PHOTOGRAPHS[phase]
    crops = [crop_photograph(file, size, -(-count // len(files)) + 1, 0)[1:] for file in files]
    return torch.from_numpy(np.concatenate(crops)[:count])


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def learn(task: PretextTask, examples: Callable[[int], Examples], steps: int, rate: float = 1e-3) -> list[float]:
    """The loss at each step, of the examples of each step."""
    optimizer = torch.optim.Adam([p for p in task.parameters() if p.requires_grad], rate, fused=True)
    losses = []
    for step in range(steps):
        loss, _ = task.loss(*examples(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    task.eval()
    return losses
