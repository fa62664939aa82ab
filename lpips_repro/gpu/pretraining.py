"""Checks that steps of each pretext task learn and do not wait for the GPU."""

import functools
import tempfile
from pathlib import Path

import torch

from lpips_repro.gpu.runner import Check
from lpips_repro.gpu.small_runs import TASK_SETTINGS, check_learned, parameters, pretraining_run
from lpips_repro.gpu.waiting import no_waiting
from lpips_repro.pretraining.loop import fit


def checks() -> list[Check]:
    """One check per task."""
    return [Check("pretraining", task, functools.partial(steps, task)) for task in TASK_SETTINGS]


def steps(task: str, device: torch.device) -> str:
    """Check some steps of a run."""
    with tempfile.TemporaryDirectory() as folder:
        run = pretraining_run(Path(folder), task, device)
        before = parameters(run.task)
        with no_waiting():
            fit(run)
    return check_learned(before, parameters(run.task))
