"""The demo: the whole pipeline on the mini dataset (`make demo`). Each step is a separate command."""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from omegaconf import DictConfig

from lpips_repro.config import EvaluateConfig, Show, parse
from lpips_repro.config.checks import check_writable
from lpips_repro.config.outputs import check_output
from lpips_repro.config.paths import CONFIGS
from lpips_repro.errors import UserError
from lpips_repro.evaluation.tables.terminal_text import overview
from lpips_repro.runs.step_process import step_process
from lpips_repro.weights.folder import WeightsNotFoundError
from lpips_repro.weights.imagenet import find_imagenet_file
from lpips_repro.weights.quick_fetch import fetch_quickly

LOG = "demo.log"
NEXT = """
What next:
  make weights        ImageNet weights of AlexNet, SqueezeNet and VGG (0.8 GB): more rows of LPIPS
  make eval-tables    the paper's tables, on judgments of people (BAPPS, a download of 1.3 GB)
  {command} distance REF.png IMAGE.png    the distance of two images
  make                everything else
"""


@dataclass(frozen=True)
class Step:
    """A step of the demo.

    Attributes:
        what: its description; target: the make command that does the same.
        words: the script and its settings; result: beginning of the line of the log that has its result.
    """

    what: str
    target: str
    words: tuple[str, ...] = ()
    result: str = ""


FETCH = Step("SqueezeNet's ImageNet weights (5 MB)", 'make weights ARGS="net=[squeeze]"')
WORK = (
    Step(
        "The dataset mini: photographs, distorted, with SIMULATED judgments",
        "make data DATA=mini",
        ("data.py", "data=mini"),
        result="mini: ",
    ),
    Step("AlexNet's weights by stacked k-means, from photographs only", "make init-kmeans", ("init_kmeans.py",)),
    Step(
        "Lin weights over a random AlexNet, trained on the judgments",
        "make train NET=alex_gaussian DATA=mini",
        ("train.py", "data=mini", "net=alex_gaussian", "variant=lin", "download=false"),
    ),
    Step(
        "Lin weights over the AlexNet of k-means",
        "make train NET=alex_kmeans DATA=mini",
        ("train.py", "data=mini", "net=alex_kmeans", "variant=lin", "download=false"),
    ),
)
TABLES = Step(
    "The tables: every metric and network against the judgments",
    "make eval-tables DATA=mini",
    ("evaluate.py", "--config-name", "demo"),
)


def run_demo(composed: DictConfig, words: Sequence[str]) -> None:
    """Run all steps, then print the scores and what to do next.

    Args:
        composed: the settings of the tables, `configs/demo.yaml`; words: their overrides. All steps use its
            `experiments`, since the tables have rows of their results.

    Raises:
        UserError: if a setting is refused, before the first step; or if a step fails.
    """
    cfg = parse(composed, EvaluateConfig)
    folder = Path(cfg.experiments) / cfg.name
    check_output(folder, "make eval-tables")
    check_writable("experiments", folder)
    every_row = cfg.show is Show.all
    print(f"The whole pipeline; three to five minutes the first time. Log of all steps: {folder / LOG}")
    count = len(WORK) + 2
    where = tuple(word for word in words if word.startswith("experiments="))
    with (folder / LOG).open("w+") as log:
        began = _begin(1, count, FETCH)
        _end(began, squeezenet_weights(cfg.download))
        for number, step in enumerate(WORK, 2):
            began = _begin(number, count, step)
            _end(began, _run(replace(step, words=(*step.words, *where)), log))
        began = _begin(count, count, TABLES)
        tables = replace(TABLES, words=(*TABLES.words, *words, "download=false"))
        _end(began, _run(tables, log, to_terminal=every_row))
    print("" if every_row else f"\n{overview(folder)}")
    print(NEXT.format(command=_installed_command()), end="")


def _begin(number: int, count: int, step: Step) -> float:
    print(f"\n{number}/{count} {step.what} [{step.target}]", flush=True)
    return time.monotonic()


def _end(began: float, result: str) -> None:
    print(f"    {time.monotonic() - began:.0f} s: {result}", flush=True)


def squeezenet_weights(allowed: bool) -> str:
    """Download SqueezeNet's ImageNet weights if they are missing; return their file or the reason, as one line.

    Args:
        allowed: whether to download them.

    Raises:
        UserError: if LPIPS_REPRO_WEIGHTS is not a folder.
    """
    found = find_imagenet_file("squeeze")
    if found is not None:
        return f"{found}: already there"
    if not allowed:
        return "not downloaded: download=false"
    if os.environ.get("CI"):
        return "not downloaded: the environment variable CI is set"
    try:
        return f"{fetch_quickly('squeeze')}: downloaded"
    except WeightsNotFoundError as error:
        return f"not downloaded, and the demo continues without them: {error}"


def _run(step: Step, log: TextIO, *, to_terminal: bool = False) -> str:
    """Run a step, with its output in the log or on the terminal; return the line of the log with its result."""
    begin = log.seek(0, os.SEEK_END)
    script, *words = step.words
    command = [sys.executable, str(CONFIGS.parent / "scripts" / script), *words]
    with step_process(command, step.what, stdout=None if to_terminal else log) as process:
        status = process.wait()
    if status:
        raise UserError(f"{script}: exit status {status}: see its log in {log.name}; the same command resumes there")
    log.seek(begin)
    return next((line for line in reversed(log.read().splitlines()) if line and line.startswith(step.result)), "done")


def _installed_command() -> str:
    """The command that runs lpips-repro from the current folder."""
    python = Path(sys.executable)
    script = python.with_name("lpips-repro")
    return os.path.relpath(script) if script.is_file() else f"{os.path.relpath(python)} -m lpips_repro.cli"
