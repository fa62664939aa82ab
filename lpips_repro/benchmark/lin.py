"""Rates of training lin on stored features: the pass that computes features of images, and the steps on features."""

import itertools
import tempfile
from pathlib import Path

import numpy as np
import torch

from lpips_repro.benchmark.implementations import put_rate
from lpips_repro.benchmark.rate_table import Row
from lpips_repro.benchmark.synthetic_inputs import noise_split
from lpips_repro.benchmark.timing import alternate, rounds
from lpips_repro.benchmark.training import make_model, trainer_settings
from lpips_repro.config import BenchConfig
from lpips_repro.features.stored import SplitFeatures, stored_features
from lpips_repro.runs.optimizer import make_optimizer
from lpips_repro.training.step import TrainingStep
from lpips_repro.training.triplets import FeatureTriplets

PASS, STEP = "lin feature pass", "lin step on features"
# Number of triplets in a timed pass.
TRIPLETS = {"cpu": 100, "cuda": 4000}


def bench_lin(net: str, cfg: BenchConfig, device: torch.device) -> list[Row]:
    """Return two rows of a network: the feature pass and a step on features."""
    batch, trainer = cfg.batch_size, trainer_settings(batch_size=cfg.batch_size)
    model, number = make_model(net, "lin", device), itertools.count()
    with tempfile.TemporaryDirectory() as folder:
        split = noise_split(Path(folder) / "split", max(TRIPLETS[device.type], batch))

        def feature_pass() -> SplitFeatures:
            root = Path(folder) / str(next(number))  # a new folder: stored features would be used again
            return stored_features(model.metric, split, root, trainer.lin_features_dtype.value, device, noise=True)

        step = TrainingStep(model, make_optimizer(model, trainer.learning_rate), trainer, seed=0)
        triplets = FeatureTriplets([split], device, [feature_pass()])
        rng = np.random.default_rng(0)

        def one_step() -> None:
            step(triplets, rng.permutation(len(split))[:batch], next(number))

        times = alternate({PASS: feature_pass, STEP: one_step}, rounds(cfg.repeats, cfg.seconds), device)
    rows = []
    for task, count in ((PASS, len(split)), (STEP, batch)):
        row = Row(task, net, count, mode="eager", precision="float32", unit="triplets/s")
        put_rate(row, times[task])
        rows.append(row)
    return rows
