"""Estimates of the times of the steps, from measured rates of this machine and the numbers of examples."""

import functools
import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from lpips_repro.benchmark.lin import PASS, bench_lin
from lpips_repro.benchmark.machine import describe
from lpips_repro.benchmark.projection import TRAIN_TRIPLETS, VAL_TRIPLETS
from lpips_repro.benchmark.synthetic_inputs import noise_split
from lpips_repro.benchmark.timing import alternate
from lpips_repro.benchmark.training import our_step
from lpips_repro.config import BenchConfig, PaperConfig, TrainConfig, parse
from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.datasets.registry import dataset_of
from lpips_repro.errors import UserError
from lpips_repro.files import read_object, write_whole
from lpips_repro.paper.steps import Step, composed
from lpips_repro.progress import Progress
from lpips_repro.report.figures import lin_weights, save_figure

log = logging.getLogger(__name__)

LIN_STEP, STEP = "lin step", "step"
START, FIGURE = "start of a step", "figure"  # seconds
# Every step begins like this: a new process imports the program and composes its settings.
BEFORE_WORK = "import lpips_repro.training.run; from lpips_repro.paper.steps import composed; composed('train', [])"
MACHINE = ("cpu", "cores", "threads", "gpu", "torch")
# Passes of each network over the validation splits for the tables: one per set of weights and version.
PASSES = {"alex": 4, "squeeze": 2, "vgg": 2}
FIGURES = 20  # approximate number of figures in a report

Rates = dict[str, float]


def measured_rates(file: Path, nets: Sequence[str], device: torch.device) -> Rates:
    """Return rates of this machine, and measure those that are not stored.

    Args:
        file: JSON file of stored rates; missing rates are added to it.
        nets: names of backbones.
        device: device of the trainings.

    Returns:
        Triplets per second by "NET pass", "NET lin step" and "NET step"; seconds of a step's start and of a figure.
    """
    machine = {key: value for key, value in describe(device).items() if key in MACHINE}
    try:
        stored = read_object(file, "")
    except UserError:  # missing or damaged: measured again
        stored = {}
    of_machine = stored.get("rates") if stored.get("machine") == machine else None
    rates: Rates = {
        name: float(rate)
        for name, rate in (of_machine if isinstance(of_machine, dict) else {}).items()
        if isinstance(rate, int | float)
    }
    missing: dict[str, Callable[[], Rates]] = {
        net: functools.partial(_rates_of, net, device) for net in nets if f"{net} {STEP}" not in rates
    }
    if not rates.keys() >= {START, FIGURE}:
        missing["start"] = _seconds_of_parts
    if missing:
        log.info("measuring the rates of this machine, for the estimates of time")
    for name in Progress([*missing], "rates", unit="measure", leave=False):
        rates |= missing[name]()
        write_whole(file, json.dumps({"machine": machine, "rates": rates}, indent=2) + "\n")
    return rates


def _rates_of(net: str, device: torch.device) -> Rates:
    settings: Any = composed("bench", ["net=[]", "repeats=1", "compile=false"])
    cfg = parse(settings, BenchConfig)
    found = {row.task: row.rate or 0.0 for row in bench_lin(net, cfg, device)}
    with tempfile.TemporaryDirectory() as folder:
        step = our_step(net, noise_split(Path(folder) / "split", 10 * cfg.batch_size), cfg, device)
        seconds = alternate({STEP: step}, range(1), device)[STEP].median
    (on_features,) = (rate for task, rate in found.items() if task != PASS)
    return {f"{net} pass": found[PASS], f"{net} {LIN_STEP}": on_features, f"{net} {STEP}": cfg.batch_size / seconds}


def _seconds_of_parts() -> Rates:
    """Seconds that a step takes before its own work, and seconds of a figure with its files."""
    begin = time.monotonic()
    subprocess.run([sys.executable, "-c", BEFORE_WORK], check=True, capture_output=True)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        weights = torch.linspace(0, 1, 256).reshape(1, -1, 1, 1)
        state = {f"lin{layer}.model.1.weight": weights for layer in range(5)}
        save_figure(lin_weights(state), Path(folder), "figure")
    return {START: start - begin, FIGURE: time.monotonic() - start}


def counts_of(data: Any) -> tuple[int, int]:
    """Return the numbers of 2AFC triplets in the train and the val splits; those of BAPPS if files are missing."""
    dataset = dataset_of(data)
    if dataset.to_fetch(("train", "val")):
        return TRAIN_TRIPLETS, VAL_TRIPLETS
    splits = [split for split in dataset.find(("train", "val")) if isinstance(split, PackedSplit)]
    phases = ("train", "val")
    train, val = (sum(len(s) for s in splits if s.card["phase"] == p and s.card["kind"] == "2afc") for p in phases)
    return train, val


def seconds_of(step: Step, cfg: PaperConfig, rates: Mapping[str, float], counts: tuple[int, int]) -> float:
    """Return the estimated seconds of a step: its start, and its work if that takes long.

    Args:
        step: the step; cfg: settings of `make paper`.
        rates: result of `measured_rates`; counts: result of `counts_of`.
    """
    return rates[START] + _work_of(step, cfg, rates, counts)


def _work_of(step: Step, cfg: PaperConfig, rates: Mapping[str, float], counts: tuple[int, int]) -> float:
    train, val = counts
    if step.trains:
        net, variant = step.trains
        settings = parse(composed("train", step.overrides), TrainConfig).trainer
        epochs = settings.epochs + settings.decay_epochs
        if variant == "lin" and settings.lin_features:
            return (train + val) / rates[f"{net} pass"] + epochs * train / rates[f"{net} {LIN_STEP}"]
        return epochs * (train / rates[f"{net} {STEP}"] + val / rates[f"{net} pass"])
    if step.script == "evaluate":
        return sum(PASSES.get(net, 2) * val / rates[f"{net} pass"] for net in cfg.nets)
    return FIGURES * rates[FIGURE] if step.script == "report" else 0.0
