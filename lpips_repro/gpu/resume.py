"""Checks that a stopped and resumed run gives the result of a run that is not stopped.

On a CPU they are equal to the bit. On a GPU the order of sums can differ between runs (in gradients of cuDNN and of
pooling), and Adam turns rounding errors of a gradient near zero into whole steps. So differences are measured in units
of the distance between the beginning and the end of the run. Another order of sums changed results by 0.7 % of it (two
processes on a CPU). Resuming without the optimizer's state, the seed of dropout or the order of examples changes them
by at least 17 %.
"""

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lpips_repro.gpu.runner import Check
from lpips_repro.gpu.small_runs import parameters, pretraining_run, training_run
from lpips_repro.pretraining import loop as pretraining_loop
from lpips_repro.runs.signals import Stopped
from lpips_repro.training import loop as training_loop

TOLERANCE = 0.05  # of the distance learned
STOPPED_AFTER = 4  # calls of `check_stop`: in the middle of the run


class Trained(NamedTuple):
    """Parameters at the beginning and at the end, on the CPU."""

    before: Tensor
    after: Tensor


def checks() -> list[Check]:
    """Checks of training on images and on features, and of a pretext task."""
    runs = {
        "alex tune": functools.partial(train, "alex", "tune"),
        "squeeze lin on features": functools.partial(train, "squeeze", "lin"),
        "bigan": functools.partial(pretrain, "bigan"),
    }
    return [Check("resume", name, functools.partial(stopped_or_not, run)) for name, run in runs.items()]


def stopped_or_not(run: Callable[..., Trained], device: torch.device) -> str:
    """Compare a run with a stopped and resumed one, and with a repetition, which shows the random differences."""
    with tempfile.TemporaryDirectory() as root:
        whole, again = (run(Path(root) / name, device) for name in ("whole", "again"))
        stopped = Path(root) / "stopped"
        try:
            run(stopped, device, check_stop=_StopAfter(STOPPED_AFTER))
        except Stopped:
            resumed = run(stopped, device)
        else:
            raise AssertionError("the run was not stopped")
    return f"{agreement(whole, resumed.after)}; run twice: {_apart(whole, again.after):.1e}"


def train(net: str, variant: str, folder: Path, device: torch.device, **settings: Any) -> Trained:
    """Train to the end, or until `check_stop` raises; return the parameters before and after."""
    run = training_run(folder, net, variant, device, **settings)
    before = parameters(run.model)
    training_loop.fit(run)
    return Trained(before, parameters(run.model))


def pretrain(task: str, folder: Path, device: torch.device, **settings: Any) -> Trained:
    """As `train`, for a pretext task."""
    run = pretraining_run(folder, task, device, **settings)
    before = parameters(run.task)
    pretraining_loop.fit(run)
    return Trained(before, parameters(run.task))


def agreement(one: Trained, other: Tensor) -> str:
    """The difference of the results of two runs, as text; AssertionError if it is too large."""
    apart = _apart(one, other)
    if not apart <= TOLERANCE:
        raise AssertionError(f"{apart:.1e} of the distance learned apart: at most {TOLERANCE:.0e} is allowed")
    return f"{apart:.1e} of the distance learned apart"


def _apart(one: Trained, other: Tensor) -> float:
    return float((other - one.after).norm() / (one.after - one.before).norm())


class _StopAfter:
    """A `check_stop` that raises in its n-th call."""

    def __init__(self, calls: int):
        self.left = calls

    def __call__(self, flag: bool = False) -> bool:
        self.left -= 1
        if self.left == 0:
            raise Stopped
        return flag
