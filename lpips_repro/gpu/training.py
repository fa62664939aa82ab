"""Checks that training steps in each precision learn and do not wait for the GPU."""

import functools
import tempfile
from pathlib import Path
from typing import Any

import torch

from lpips_repro.gpu.runner import Check, NotRun
from lpips_repro.gpu.small_runs import check_learned, parameters, training_run
from lpips_repro.gpu.waiting import no_waiting
from lpips_repro.metrics.compilation import why_not
from lpips_repro.training.loop import fit

NETS = ("alex", "squeeze", "vgg", "caffenet")
PRECISIONS = ("float32", "tf32", "bfloat16")


def checks() -> list[Check]:
    """One check per network, variant and precision. Compiled ones, which take longest, come last."""
    found = []
    for net in NETS:
        found.append(_check(f"{net} lin on features", net, "lin"))
        for variant in ("tune", "scratch"):
            found += [_check(f"{net} {variant} {p}", net, variant, precision=p) for p in PRECISIONS]
    for net in NETS:
        found += [_check(f"{net} {variant} compiled", net, variant, compile=True) for variant in ("tune", "scratch")]
    return found


def _check(name: str, net: str, variant: str, **trainer: Any) -> Check:
    return Check("training", name, functools.partial(steps, net, variant, **trainer))


def steps(net: str, variant: str, device: torch.device, **trainer: Any) -> str:
    """Check some steps of a run."""
    if trainer.get("compile") and (reason := why_not(device)):
        raise NotRun(reason)
    with tempfile.TemporaryDirectory() as folder:
        run = training_run(Path(folder), net, variant, device, **trainer)
        before = parameters(run.model)
        with no_waiting():
            fit(run)
    return check_learned(before, parameters(run.model))
