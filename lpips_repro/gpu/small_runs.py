"""Training and pretraining runs that take seconds, with random weights on noise."""

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from lpips_repro.backbones import gaussian_state, torchvision_state
from lpips_repro.benchmark.synthetic_inputs import noise_split
from lpips_repro.benchmark.training import trainer_settings
from lpips_repro.config import PretrainConfig, parse
from lpips_repro.config.paths import CONFIGS
from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.distributed import Ranks
from lpips_repro.features.stored import stored_features
from lpips_repro.photographs.crops import Crops
from lpips_repro.pretraining.loop import Pretraining
from lpips_repro.pretraining.run import make_task
from lpips_repro.training.loop import Run
from lpips_repro.training.model import RankingModel
from lpips_repro.training.triplets import FeatureTriplets, ImageTriplets

BATCH, STEPS = 8, 6
TASK_SETTINGS = {
    "splitbrain": {"size": 40, "side": 35, "hidden": 8},
    "puzzle": {"size": 80, "side": 78, "tile": 23, "permutations": 5, "features": 8, "hidden": 8},
    "bigan": {"size": 66, "latents": 4, "width": 2, "hidden": 8},
}
NEVER = 10**6  # steps, or minutes

CheckStop = Callable[..., bool]


def never_stop(flag: bool = False) -> bool:
    """A `check_stop` that never raises, and returns its flag (whether to save a checkpoint)."""
    return flag


def training_run(
    folder: Path,
    net: str,
    variant: str,
    device: torch.device,
    *,
    check_stop: CheckStop = never_stop,
    ranks: Ranks | None = None,
    **trainer: Any,
) -> Run:
    """A run of one epoch of `STEPS` steps, new or to be resumed; lin learns from stored features.

    Args:
        folder: the folder of the run and its data.
        net, variant: as for `RankingModel`.
        device, check_stop, ranks: as in `Run`.
        trainer: settings that differ from the defaults.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = Path(tempfile.mkdtemp(dir=folder))  # the same data are written at each start
    torch.manual_seed(0)
    begin = torchvision_state if variant == "scratch" else gaussian_state
    model = RankingModel(net, variant, "0.1", begin(net, 0)).to(device)
    ranks = ranks or Ranks()
    with ranks.first_before_others():  # ranks share the features
        splits = {"train": noise_split(data / "train", BATCH * STEPS), "val": noise_split(data / "val", BATCH)}
        triplets = {phase: _triplets(split, phase, model, folder, device) for phase, split in splits.items()}
    seldom = {"epochs": 1, "decay_epochs": 0, "log_every": NEVER, "checkpoint_minutes": NEVER}
    cfg = trainer_settings(batch_size=BATCH, **seldom, **trainer)
    val = {"noise": triplets["val"]}
    return Run(folder, {}, model, triplets["train"], val, cfg, 0, device, check_stop, ranks)


def _triplets(split: PackedSplit, phase: str, model: RankingModel, folder: Path, device: torch.device) -> ImageTriplets:
    if model.variant != "lin":
        return ImageTriplets([split], device, resident=device.type == "cuda")
    noise = phase == "train"
    stored = stored_features(model.metric, split, folder / "features", "float32", device, noise=noise)
    return FeatureTriplets([split], device, [stored])


def pretraining_run(
    folder: Path,
    task: str,
    device: torch.device,
    *,
    check_stop: CheckStop = never_stop,
    ranks: Ranks | None = None,
) -> Pretraining:
    """A run of `STEPS` steps, new or to be resumed; arguments as for `training_run`."""
    folder.mkdir(parents=True, exist_ok=True)
    base, own, optimizer = (_settings_in(name) for name in ("pretrain", f"task/{task}", "optimizer/adam"))
    settings = {key: value for key, value in base.items() if key not in ("defaults", "hydra")}
    settings |= {"validate_every": NEVER, "log_every": NEVER, "checkpoint_minutes": NEVER, "optimizer": optimizer}
    settings["task"] = {**own, **TASK_SETTINGS[task], "steps": STEPS, "batch_size": BATCH}
    cfg = parse(OmegaConf.create(settings), PretrainConfig)
    rng = np.random.default_rng(0)
    side = cfg.task.size
    train, held_out = (rng.integers(0, 256, (count, side, side, 3), np.uint8) for count in (BATCH * STEPS, BATCH))
    module = make_task(cfg.task, cfg.seed).to(device).to(memory_format=torch.channels_last)
    crops = Crops(train, held_out, "noise")
    return Pretraining(folder, {}, module, crops, cfg, device, check_stop, ranks=ranks or Ranks())


def _settings_in(name: str) -> dict[str, Any]:
    """The content of a file of `configs/`."""
    content: Any = OmegaConf.to_container(OmegaConf.load(CONFIGS / f"{name}.yaml"), resolve=False)
    return content


def parameters(module: nn.Module) -> Tensor:
    """All parameters as one vector, on the CPU."""
    return torch.cat([parameter.detach().flatten().cpu() for parameter in module.parameters()])


def check_learned(before: Tensor, after: Tensor) -> str:
    """The change of parameters by training, as text; AssertionError if they are unchanged or not finite."""
    moved = float((after - before).norm() / before.norm())
    assert 0 < moved < math.inf, f"the parameters moved by {moved} of their norm"
    return f"the parameters moved by {moved:.1e} of their norm"
