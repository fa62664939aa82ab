"""How much faster lin trains on stored features than the released trainer does on images.

    python -m lpips_repro.benchmark.lin_epochs [--nets alex squeeze vgg] [--rounds 3]

Measured in one process, alternating; results are medians of the rounds:

    released step       a step of the released trainer on one batch of 50 triplets of the packed mini dataset
    features            the pass over the images of one training split of the packed mini dataset
    step on features    an epoch of our training on features of BAPPS's size, 151,400 triplets (3 to 5 GB), in random
                        order. The features of the split are repeated in files of a temporary folder. The files are
                        memory-mapped as in training, and cached in memory as far as there is room.

The times of ten epochs on BAPPS are projected from these:

    theirs   ten epochs of the released trainer's steps
    ours     one pass over the images, and ten epochs of steps on features

Neither includes validation or imports. If ImageNet weights are not available, weights are random, which does not change
the times. The wall time of `make train DATA=mini VARIANT=lin`, including validation and tables, is printed, too.
"""

import argparse
import contextlib
import functools
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import lpips
import numpy as np
import torch

from lpips_repro.backbones import gaussian_state
from lpips_repro.benchmark.composed_settings import composed
from lpips_repro.benchmark.training import trainer_settings
from lpips_repro.config import DatasetConfig, parse
from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.datasets.prepare import prepare
from lpips_repro.features.patches import to_images
from lpips_repro.features.stored import features_bytes, stored_features
from lpips_repro.runs.optimizer import make_optimizer
from lpips_repro.training.model import RankingModel
from lpips_repro.training.step import TrainingStep
from lpips_repro.training.step_sums import StepSums
from lpips_repro.training.triplets import FeatureTriplets, SplitFeatures

TRIPLETS, EPOCHS, BATCH = 151_400, 10, 50
CPU = torch.device("cpu")
EPOCH_STEPS = -(-TRIPLETS // BATCH)
RELEASED_STEPS = 4  # per round


def seconds(call: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def released_step(net: str, split: PackedSplit) -> Callable[[], None]:
    """Return a call that runs a step of the released trainer on the first batch of a split."""
    trainer = lpips.Trainer()
    with contextlib.redirect_stdout(None):  # it prints its settings
        trainer.initialize(model="lpips", net=net, pnet_rand=True, use_gpu=False, is_train=True)
    trainer.net.train()
    batch = {name: to_images(split.arrays[name][:BATCH], CPU).contiguous() for name in ("ref", "p0", "p1")}
    batch["judge"] = torch.from_numpy(np.array(split.votes[:BATCH])).view(-1, 1, 1, 1)

    def step() -> None:
        trainer.set_input(batch)
        trainer.optimize_parameters()

    return step


def bapps_sized(split: PackedSplit, features: SplitFeatures, folder: Path) -> FeatureTriplets:
    """Return a split and its features, repeated to BAPPS's size; the features are in files of a folder."""
    files = []
    assert features.noise is not None  # `measure` computes features with noise
    for name, values in (("mean", features.mean), ("noise", features.noise)):
        file = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", values.dtype, (TRIPLETS, *values.shape[1:]))
        for start in range(0, TRIPLETS, len(values)):
            file[start : start + len(values)] = values[: TRIPLETS - start]
        file.flush()
        files.append(np.load(folder / f"{name}.npy", mmap_mode="r"))
    mean, noise = files
    votes = {"judge": np.resize(split.votes, TRIPLETS)}  # a step on features reads nothing else of a split
    repeated = PackedSplit(split.path, {**split.card, "count": TRIPLETS}, votes)
    return FeatureTriplets([repeated], CPU, [SplitFeatures(mean, noise, features.scale)])


def epoch_on_features(model: RankingModel, triplets: FeatureTriplets, epoch: int) -> None:
    """Train for one epoch, as the training loop does."""
    trainer = trainer_settings()
    training_step, window = TrainingStep(model, make_optimizer(model, 1e-4), trainer, seed=0), StepSums(CPU)
    order = np.random.default_rng([0, epoch]).permutation(len(triplets))
    for step in range(EPOCH_STEPS):
        window.add(step, *training_step(triplets, order[step * BATCH : (step + 1) * BATCH], step))


def measure(net: str, split: PackedSplit, rounds: int) -> tuple[float, float, float]:
    """Return median seconds of the released step, of the feature pass per triplet, and of a step on features."""
    theirs = released_step(net, split)
    model = RankingModel(net, "lin", "0.1", gaussian_state(net, 0))
    times = []
    with tempfile.TemporaryDirectory() as folder:

        def feature_pass(name: str) -> SplitFeatures:
            return stored_features(model.metric, split, Path(folder) / name, "float32", CPU, noise=True)

        triplets = bapps_sized(split, feature_pass("warm up"), Path(folder))
        theirs()
        for number in range(rounds):
            step = seconds(lambda: [theirs() for _ in range(RELEASED_STEPS)]) / RELEASED_STEPS
            feature = seconds(functools.partial(feature_pass, str(number))) / len(split)
            vector = seconds(functools.partial(epoch_on_features, model, triplets, number)) / EPOCH_STEPS
            times.append((step, feature, vector))
    step, feature, vector = (statistics.median(column) for column in zip(*times, strict=True))
    return step, feature, vector


def wall_time(net: str) -> str:
    """Return, as text, the wall time of `make train NET=... VARIANT=lin DATA=mini` if only the dataset exists."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "scripts/train.py", "data=mini", f"net={net}", "variant=lin", "download=false"]
        start = time.perf_counter()
        done = subprocess.run([*command, f"experiments={folder}/e", f"features={folder}/f"], capture_output=True)
        return f"{time.perf_counter() - start:.0f} s in all" if done.returncode == 0 else "not run (no weights)"


def main() -> None:
    """Measure the networks named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", nargs="+", default=["alex", "squeeze", "vgg"])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    split = cast(PackedSplit, prepare(parse(composed("dataset", "data=mini"), DatasetConfig).data, "train")[0])
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {len(split)} triplets of {split.name}")
    for net in options.nets:
        needed, free = (
            features_bytes(net, TRIPLETS, "float32", noise=True),
            shutil.disk_usage(tempfile.gettempdir()).free,
        )
        if free < 1.1 * needed:
            print(
                f"{net}: not run: {needed / 1e9:.1f} GB of features, {free / 1e9:.1f} free in {tempfile.gettempdir()}"
            )
            continue
        step, feature, vector = measure(net, split, options.rounds)
        steps = EPOCHS * EPOCH_STEPS
        theirs, ours = steps * step, TRIPLETS * feature + steps * vector
        print(f"{net}: released step {1000 * step:.0f} ms ({BATCH / step:.0f} triplets/s);", end=" ")
        print(f"ours: features {1 / feature:.0f} triplets/s, step on features {1000 * vector:.2f} ms")
        print(f"  ten epochs of BAPPS, projected: released {theirs / 60:.0f} min, ours {ours / 60:.1f} min", end=" ")
        print(
            f"(features {TRIPLETS * feature / 60:.1f}, steps {steps * vector / 60:.1f}): {theirs / ours:.0f} times",
            end=" ",
        )
        print(f"as fast, {needed / 1e9:.1f} GB of features")
        print(f"  make train NET={net} VARIANT=lin DATA=mini: {wall_time(net)}", flush=True)


if __name__ == "__main__":
    main()
