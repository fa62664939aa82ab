"""Pretraining runs of a few steps."""

from lpips_repro.config import PretrainConfig, parse
from tests.compose import settings

TINY = {
    "puzzle": ("task.size=80", "task.side=78", "task.tile=23", "task.permutations=5", "task.features=8"),
    "splitbrain": ("task.size=40", "task.side=35", "task.hidden=8"),
    "bigan": ("task.size=66", "task.latents=4", "task.width=2", "task.hidden=8"),
}


def tiny_settings(task, *overrides):
    """Composed settings of a run of six steps on the CPU."""
    few = ("task.steps=6", "task.batch_size=4", "validate_every=3", "log_every=2", "device=cpu", "workers=1")
    return settings("pretrain", f"task={task}", *TINY[task], *few, *overrides)


def tiny_config(task, *overrides) -> PretrainConfig:
    """The same as an object."""
    return parse(tiny_settings(task, *overrides), PretrainConfig)
