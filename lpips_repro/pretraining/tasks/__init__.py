"""Pretext tasks, one file per task. All files in this folder are imported, so that a new task needs one file."""

import importlib
import pkgutil

from lpips_repro.pretraining.tasks.task import TASKS, PretextTask, Score, register_task

__all__ = ["TASKS", "PretextTask", "Score", "register_task"]

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_module.name)
