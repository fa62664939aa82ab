"""Rates of a training step of tune, which scratch shares: ours and the released trainer's, from the same weights."""

import functools
import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from torch import Tensor

from lpips_repro.benchmark.flops import backbone_flops
from lpips_repro.benchmark.implementations import OURS, Call, Case, Comparison, compare
from lpips_repro.benchmark.machine import precisions_of
from lpips_repro.benchmark.peers import quiet
from lpips_repro.benchmark.rate_table import Row
from lpips_repro.benchmark.synthetic_inputs import backbone_weights, noise_split
from lpips_repro.benchmark.timing import rounds
from lpips_repro.config import BenchConfig, TrainerConfig
from lpips_repro.config.paths import CONFIGS
from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.errors import UserError
from lpips_repro.features.patches import to_images
from lpips_repro.runs.optimizer import make_optimizer
from lpips_repro.training.batch import ImageBatch
from lpips_repro.training.model import RankingModel
from lpips_repro.training.step import TrainingStep
from lpips_repro.training.triplets import ImageTriplets

TASK = "tune or scratch step"
FLOOR = "bare backbone, forward and backward"
# Number of batches in the split.
BATCHES = 10
# Largest difference of distances in the first step, relative to the largest distance. Ours are compared with the same
# dropout, those of the released trainer without dropout.
TOLERANCE = {"float32": 1e-4, "tf32": 5e-3, "bfloat16": 2e-2}


def bench_training(net: str, cfg: BenchConfig, device: torch.device) -> list[Row]:
    """Return the rows of a network."""
    return compare_trainings(net, cfg, device, precisions_of(device))


def compare_trainings(net: str, cfg: BenchConfig, device: torch.device, precisions: Sequence[str]) -> list[Row]:
    """Return the rows of a network in some precisions."""
    with tempfile.TemporaryDirectory() as folder:
        split = noise_split(Path(folder) / "split", BATCHES * cfg.batch_size)
        cases = [
            Case(OURS, functools.partial(_ours, net, split, cfg, device, mode, p), mode, p, TOLERANCE[p])
            for mode in (("eager", "compiled") if cfg.compile else ("eager",))
            for p in precisions
        ]
        if "float32" not in precisions:  # computed for comparison, but not returned
            cases.insert(0, Case(OURS, functools.partial(_ours, net, split, cfg, device, "eager", "float32")))
        cases += [
            Case("lpips", functools.partial(_released, net, split, cfg, device), "eager", p)
            for p in precisions
            if p != "bfloat16"  # not available in lpips
        ]
        cases += [Case(FLOOR, functools.partial(_bare, net, split, cfg, device, p), "eager", p) for p in precisions]
        what = Comparison(
            task=TASK,
            net=net,
            batch=cfg.batch_size,
            unit="triplets/s",
            peer="lpips",
            floor=FLOOR,
            flops=3 * cfg.batch_size * backbone_flops(net, backward=True),
        )
        rows = compare(what, cases, rounds(cfg.repeats, cfg.seconds), device)
    return [row for row in rows if row.precision in precisions]


def trainer_settings(**changed: object) -> TrainerConfig:
    """Return the trainer settings of `configs/train.yaml`, with changes."""
    defaults: Any = OmegaConf.load(CONFIGS / "train.yaml")
    merged: Any = OmegaConf.merge(OmegaConf.structured(TrainerConfig), defaults.trainer, changed)
    settings: Any = OmegaConf.to_object(merged)
    return settings


def make_model(net: str, variant: str, device: torch.device) -> RankingModel:
    """Return a model before training; the same arguments give the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return RankingModel(net, variant, "0.1", backbone_weights(net)).to(device)


def our_step(net: str, split: PackedSplit, cfg: BenchConfig, device: torch.device) -> Call:
    """Return a call that runs a step of tune or scratch, eager and in float32, on a split of ten batches."""
    return _ours(net, split, cfg, device, "eager", "float32")


def _ours(net: str, split: PackedSplit, cfg: BenchConfig, device: torch.device, mode: str, precision: str) -> Call:
    trainer = trainer_settings(precision=precision, compile=mode == "compiled", batch_size=cfg.batch_size)
    model = make_model(net, "tune", device)
    step = TrainingStep(model, make_optimizer(model, trainer.learning_rate), trainer, seed=0)
    triplets = ImageTriplets([split], device, resident=device.type == "cuda")
    order = np.random.default_rng(0).permutation(len(split)).reshape(BATCHES, -1)
    number = itertools.count()

    def call() -> Tensor:
        now = next(number)
        outcome = step(triplets, order[now % BATCHES], now)
        return torch.stack((outcome.d0, outcome.d1))

    return call


def _released(net: str, split: PackedSplit, cfg: BenchConfig, device: torch.device) -> Call:
    """A step of the released trainer on one batch of tensors. Our step also reads and converts its batch."""
    import lpips

    cuda = device.type == "cuda"
    trainer = lpips.Trainer()
    settings = {"net": net, "pnet_rand": True, "pnet_tune": True, "is_train": True}
    with quiet():
        trainer.initialize(model="lpips", use_gpu=cuda, gpu_ids=[device.index or 0], **settings)
    model = make_model(net, "tune", device)
    released = trainer.net.module if cuda else trainer.net
    released.load_state_dict(model.trained_metric().official_state_dict())
    ref, p0, p1, judge = _batch(split, cfg, device)
    _check_same_distances(net, model, released.eval(), (ref, p0, p1))
    trainer.net.train()
    data = {"ref": ref, "p0": p0, "p1": p1, "judge": judge.view(-1, 1, 1, 1)}

    def call() -> None:
        trainer.set_input(data)
        trainer.optimize_parameters()

    return call


@torch.no_grad()
def _check_same_distances(net: str, model: RankingModel, released: torch.nn.Module, images: tuple[Tensor, ...]) -> None:
    ref, p0, p1 = images
    ours = torch.stack(model.distances(ImageBatch(ref, p0, p1)))
    theirs = torch.stack((released(ref, p0).flatten(), released(ref, p1).flatten()))
    difference = float((ours - theirs).abs().max() / ours.abs().max())
    if not difference <= TOLERANCE["float32"]:
        raise UserError(f"{TASK} {net}: the released trainer's distances differ from ours by {difference:.2g}")


def _bare(net: str, split: PackedSplit, cfg: BenchConfig, device: torch.device, precision: str) -> Call:
    """Only the backbone on the three images, forward and backward to all its parameters."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    backbone = make_model(net, "tune", device).metric.backbone.to(dtype)
    images = torch.cat(_batch(split, cfg, device)[:3]).to(dtype, memory_format=torch.channels_last)
    gradients = [torch.ones_like(feature_map) for feature_map in backbone(images)]

    def call() -> None:
        backbone.zero_grad()
        torch.autograd.backward(backbone(images), gradients)

    return call


def _batch(split: PackedSplit, cfg: BenchConfig, device: torch.device) -> tuple[Tensor, ...]:
    """ref, p0, p1 (N, 3, 64, 64) in [-1, 1], and judge (N,)."""
    count = cfg.batch_size
    images = [to_images(split.arrays[name][:count], device).contiguous() for name in ("ref", "p0", "p1")]
    return *images, torch.from_numpy(split.votes[:count]).to(device)
