"""Training runs small enough to be done many times in a test: 40 triplets of noise, AlexNet with Gaussian weights."""

import csv
import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from lpips_repro.backbones import gaussian_state
from lpips_repro.config import TrainConfig, TrainerConfig, parse
from lpips_repro.datasets.packed import PackedSplit, write_split
from lpips_repro.features.stored import stored_features
from lpips_repro.training.loop import Run
from lpips_repro.training.model import RankingModel
from lpips_repro.training.triplets import FeatureTriplets, ImageTriplets
from tests.compose import settings

CPU = torch.device("cpu")
# What learns from what.
KINDS = ("lin on features", "lin on images", "tune")
SPLITS = {"train": {"cnn": 23, "mix": 17}, "val": {"color": 12, "deblur": 10}}
EPOCHS, BATCH, STEPS_PER_EPOCH = 3, 6, 7  # the last step of an epoch is of 4 triplets


def make_splits(root: Path) -> dict[str, list[PackedSplit]]:
    """Packed splits by phase."""
    rng = np.random.default_rng(0)
    made: dict[str, list[PackedSplit]] = {}
    for phase, splits in SPLITS.items():
        for split, count in splits.items():
            ref = rng.integers(0, 256, (count, 64, 64, 3), dtype=np.uint8)
            spread = rng.uniform(10, 40, (2, count, 1, 1, 1))
            p0, p1 = (np.clip(ref + rng.normal(0, 1, ref.shape) * s, 0, 255).astype(np.uint8) for s in spread)
            nearer = (spread[1] < spread[0]).ravel()
            judge = np.where(rng.random(count) < 0.7, nearer, rng.random(count)).astype(np.float32)
            arrays = {"ref": ref, "p0": p0, "p1": p1, "judge": judge}
            card = {"kind": "2afc", "phase": phase, "split": split, "dataset": "tiny"}
            card |= {"resize": "none", "observers": "simulated"}
            made.setdefault(phase, []).append(write_split(root / f"{phase}-{split}", arrays, card))
    return made


@functools.cache
def trainer(*overrides: str) -> TrainerConfig:
    """The trainer's settings: two epochs at the base rate and one of the decay."""
    tiny = (f"trainer.batch_size={BATCH}", "trainer.epochs=2", "trainer.decay_epochs=1", "trainer.log_every=3")
    tiny += ("trainer.learning_rate=1e-3",)
    return parse(settings("train", *tiny, *(f"trainer.{override}" for override in overrides)), TrainConfig).trainer


def make_run(
    folder: Path,
    splits: dict[str, list[PackedSplit]],
    kind: str = "lin on features",
    *overrides: str,
    seed: int = 0,
    check_stop: Callable[..., bool] = lambda flag=False: flag,
) -> Run:
    """Return a new run, or one to resume; features are stored next to the packed splits.

    Args:
        folder: of the run.
        splits: what `make_splits` gave.
        kind: one of `KINDS`.
        overrides: of the trainer's settings, without "trainer.".
        seed, check_stop: as in `Run`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    model = RankingModel("alex", kind.split()[0], "0.1", gaussian_state("alex", 0))
    if kind == "lin on features":
        root = splits["train"][0].path.parent / "features"
        stored = [
            [stored_features(model.metric, split, root, "float32", CPU, noise=phase == "train") for split in group]
            for phase, group in splits.items()
        ]
        train = FeatureTriplets(splits["train"], CPU, stored[0])
        val = [FeatureTriplets([split], CPU, [part]) for split, part in zip(splits["val"], stored[1], strict=True)]
    else:
        train = ImageTriplets(splits["train"], CPU)
        val = [ImageTriplets([split], CPU) for split in splits["val"]]
    named = {triplets.splits[0].card["split"]: triplets for triplets in val}
    return Run(folder, {"data": "tiny"}, model, train, named, trainer(*overrides), seed, CPU, check_stop)


def checkpoint(folder: Path, name: str = "last.pt") -> dict:
    """What a checkpoint holds, without the time that the run took, which differs from run to run."""
    content = torch.load(folder / name, weights_only=True)
    content.pop("seconds", None)
    return content


def assert_same(one, other, where: str = "") -> None:
    """Fail unless two checkpoints, or parts of them, are the same to the bit."""
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype, where
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_same(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), where
        for index, pair in enumerate(zip(one, other, strict=True)):
            assert_same(*pair, f"{where}/{index}")
    else:
        assert one == other, where


def metrics(folder: Path, name: str = "metrics.csv") -> list[dict[str, str]]:
    """The rows of metrics.csv or validation.csv without throughput, which differs from run to run."""
    with (folder / name).open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row.pop("triplets_per_second", None)
    return rows
