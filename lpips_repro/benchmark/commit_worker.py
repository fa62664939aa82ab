"""One of the two processes of `make bench AGAINST=COMMIT`: it runs the code of one tree on request.

It runs as a script, so that `lpips_repro` is the package of that tree, which can be older than this file. The package
is imported inside the functions below: a module that the tree does not have is an error of one case only.

    python -P commit_worker.py INPUTS DEVICE THREADS

`lpips_repro.benchmark.against_commit.write_inputs` writes the folder INPUTS. Each line of standard input is a request,
and each line of standard output is its answer, in JSON:

    {"import": TREE}  ->  {}
    {"build": {"task": ..., "net": ..., "mode": ..., "precision": ...}}  ->  {"values": [...], "seconds": ...}
    {"time": number of calls}  ->  {"seconds": of one call}

If a request fails, the answer is {"error": ...}.
"""

import contextlib
import functools
import importlib.abc
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one handles Ctrl-C

import numpy as np
import torch
from torch import Tensor

Call = Callable[[], Tensor]
# From the name of a file in the folder of inputs to its tensors by name.
Inputs = Callable[[str], dict[str, Tensor]]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def forward(inputs: Inputs, net: str, mode: str, precision: str) -> Call:
    """Return a call that computes LPIPS of pairs."""
    images, metric = inputs("triplet"), _evaluator(inputs, net, mode, precision)
    return torch.inference_mode()(lambda: metric(images["ref"], images["p0"]))


def triplet(inputs: Inputs, net: str, mode: str, precision: str) -> Call:
    """Return a call that computes LPIPS of triplets."""
    images, metric = inputs("triplet"), _evaluator(inputs, net, mode, precision)
    return torch.inference_mode()(lambda: torch.stack(metric.triplet(images["ref"], images["p0"], images["p1"])))


def tune_step(inputs: Inputs, net: str, mode: str, precision: str) -> Call:
    """Return a call that runs a step of training on images."""
    from lpips_repro.training.triplets import ImageTriplets

    return _step(inputs, net, "tune", precision, ImageTriplets)


def lin_step(inputs: Inputs, net: str, mode: str, precision: str) -> Call:
    """Return a call that runs a step of training on stored features."""
    from lpips_repro.training.triplets import FeatureTriplets, SplitFeatures

    stored = _arrays(inputs(f"features-{net}"))
    features = SplitFeatures(stored["mean"], stored["noise"], 1.0)
    return _step(inputs, net, "lin", precision, functools.partial(FeatureTriplets, features=[features]))


def lin_features(inputs: Inputs, net: str, mode: str, precision: str) -> Call:
    """Return a call that computes the features that `lin_step` is trained on."""
    of_older_trees = "lpips_repro.training.features", "channel_statistics"
    channel_statistics = _imported(("lpips_repro.features.stored", "channel_statistics"), of_older_trees)
    images, metric = inputs("triplet"), _model(inputs, net, "lin").metric
    statistics = torch.inference_mode()(channel_statistics)
    return lambda: torch.cat(statistics(metric, images["ref"], images["p0"], images["p1"]))


def classic(name: str, inputs: Inputs, net: str, mode: str, precision: str, **settings: str) -> Call:
    """Return a call that computes a metric without a network for pairs."""
    from lpips_repro import metrics

    images, metric = inputs("pair"), getattr(metrics, name)
    if mode == "compiled":
        metric = functools.partial(metric, compiled=True)
    return torch.inference_mode()(lambda: metric(images["x"], images["y"], **settings))


TASKS: dict[str, Callable[..., Call]] = {
    "LPIPS.forward": forward,
    "LPIPS.triplet": triplet,
    "tune step": tune_step,
    "lin features": lin_features,
    "lin step": lin_step,
    "l2": functools.partial(classic, "l2"),
    "psnr": functools.partial(classic, "psnr"),
    "ssim": functools.partial(classic, "ssim"),
    "ssim (gaussian window)": functools.partial(classic, "ssim", window="gaussian"),
    "fsimc": functools.partial(classic, "fsimc"),
}


# Any: the types of another tree are known only after its import.
def _evaluator(inputs: Inputs, net: str, mode: str, precision: str) -> Any:
    from lpips_repro import LPIPS

    state = inputs(f"lpips-{net}")
    metric = LPIPS.from_official(net, "0.1", state).to(next(iter(state.values())).device)
    if (mode, precision) == ("eager", "float32"):
        return metric
    return metric.optimized(DTYPES[precision], compiled=mode == "compiled")


def _model(inputs: Inputs, net: str, variant: str) -> Any:
    from lpips_repro.training.model import RankingModel

    torch.manual_seed(0)
    weights = inputs(f"backbone-{net}")
    return RankingModel(net, variant, "0.1", weights).to(next(iter(weights.values())).device)


def _step(inputs: Inputs, net: str, variant: str, precision: str, triplets_of: Callable) -> Call:
    from omegaconf import OmegaConf

    import lpips_repro
    from lpips_repro.config import TrainerConfig
    from lpips_repro.datasets.packed import PackedSplit
    from lpips_repro.training.step import TrainingStep

    of_older_trees = "lpips_repro.training.step", "make_optimiser"
    make_optimizer = _imported(("lpips_repro.runs.optimizer", "make_optimizer"), of_older_trees)
    arrays = _arrays(inputs("split"))
    count = len(arrays["judge"])
    card = {"kind": "2afc", "phase": "train", "split": "noise", "count": count}
    model = _model(inputs, net, variant)
    triplets = triplets_of([PackedSplit(Path(), card, arrays)], model.lin.device)
    configs = Path(lpips_repro.__file__).parents[1] / "configs"  # the tree's own
    settings: Any = OmegaConf.load(configs / "train.yaml")
    changed = {"precision": precision, "batch_size": count}
    trainer: Any = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(TrainerConfig), settings.trainer, changed))
    step = TrainingStep(model, make_optimizer(model, trainer.learning_rate), trainer, seed=0)
    order, number = np.arange(count), itertools.count()

    def call() -> Tensor:
        outcome = step(triplets, order, next(number))
        return torch.stack((outcome.d0, outcome.d1))

    return call


def _imported(*places: tuple[str, str]) -> Any:
    """The first of some objects that the tree has; each is given by the names of its module and of the object."""
    for module, name in places:
        with contextlib.suppress(ImportError):
            return getattr(importlib.import_module(module), name)
    raise ImportError(f"no {' or '.join('.'.join(place) for place in places)}")


def _arrays(tensors: dict[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: values.cpu().numpy() for name, values in tensors.items()}


class OnlyOf(importlib.abc.MetaPathFinder):
    """Finds `lpips_repro` in one tree only: a missing module is not taken from an installed package."""

    def __init__(self, tree: str):
        self.tree = tree

    def find_spec(self, name: str, path: Sequence[str] | None, target: object = None) -> ModuleSpec | None:
        """Return the spec of a module of the tree, and None for modules of other packages.

        Raises:
            ModuleNotFoundError: if the tree does not have the module.
        """
        if name.partition(".")[0] != "lpips_repro":
            return None
        if found := PathFinder.find_spec(name, path or [self.tree]):
            return found
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)


class Worker:
    """Answers requests. A request for a time is about the case built last."""

    def __init__(self, folder: Path, device: torch.device):
        self.inputs = lambda name: torch.load(folder / f"{name}.pt", map_location=device, weights_only=True)
        self.device = device
        self.call: Call | None = None

    def answer(self, request: dict) -> dict:
        """Return the answer to a request."""
        ((kind, argument),) = request.items()
        answers: dict[str, Callable[[Any], dict]] = {"import": self.import_package, "build": self.build}
        answers["time"] = self.time
        return answers[kind](argument)

    def import_package(self, tree: str) -> dict:
        """Import the metric from a tree; without it nothing can be measured."""
        sys.meta_path.insert(0, OnlyOf(tree))
        importlib.import_module("lpips_repro.metrics.lpips")
        return {}

    def build(self, case: dict) -> dict:
        """Prepare a case and call it twice, as the first call may compile; return its values and the time."""
        self.call = None  # frees its memory
        torch.compiler.reset()  # torch keeps at most eight compilations of a function
        self.call = call = TASKS[case.pop("task")](self.inputs, **case)
        return {"values": call().detach().double().flatten().tolist()} | self.time(1)

    def time(self, count: int) -> dict:
        """Return the mean seconds of some calls."""
        assert self.call is not None  # "build" is requested first
        self._wait()
        start = time.perf_counter()
        for _ in range(count):
            self.call()
        self._wait()
        return {"seconds": (time.perf_counter() - start) / count}

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def main(folder: str, device: str, threads: str) -> None:
    """Answer requests until standard input ends."""
    # Text that the code of the tree prints goes to standard error: standard output has the answers only.
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    torch.set_num_threads(int(threads))
    torch.backends.cudnn.allow_tf32 = False
    worker = Worker(Path(folder), torch.device(device))
    for line in sys.stdin:
        try:
            answer = worker.answer(json.loads(line))
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"}
        print(json.dumps(answer), file=output, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
