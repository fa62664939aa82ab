"""The record of a run in its folder, with which it can be repeated, and the choice of its device."""

import copy
import json
import logging
import platform
import subprocess
import sys
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf

from lpips_repro.config import Device
from lpips_repro.config.secrets import hide_arguments, hide_settings
from lpips_repro.devices import why_no_cuda
from lpips_repro.errors import UserError
from lpips_repro.precision import set_tf32
from lpips_repro.versions import installed_version

log = logging.getLogger(__name__)

PACKAGES = ("torch", "torchvision", "numpy", "scipy", "hydra-core", "scikit-image", "pillow")
OPENCV = ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python")


def choose_device(wanted: Device) -> torch.device:
    """The torch device of a setting, in full precision. It logs the choice of `auto`.

    Raises:
        UserError: if CUDA is requested and cannot be used, with the reason.
    """
    if wanted is Device.cpu:
        return torch.device("cpu")
    reason = why_no_cuda()
    if wanted is Device.cuda and reason:
        raise UserError(f"device=cuda: {reason}: fix this, or use device=cpu")
    name = "cpu" if reason else "cuda"
    if name == "cuda":
        set_tf32(False)  # TF32's 10-bit mantissa would change scores
    if wanted is Device.auto:
        log.info("device=auto took %s%s", name, f" ({reason})" if reason else "")
    return torch.device(name)


def record_run(folder: Path, cfg: DictConfig) -> None:
    """Write config.yaml (resolved settings) and run.json (command, git commit, seed, versions) of a run.

    Mirrors are written without user, password and token.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shown = copy.deepcopy(cfg)
    hide_settings(shown)
    OmegaConf.save(shown, folder / "config.yaml", resolve=True)
    record = {
        "command": hide_arguments(sys.argv),
        "git_commit": _git("rev-parse", "HEAD"),
        "git_changes": bool(_git("status", "--porcelain")),
        "seed": cfg.get("seed"),
        "python": platform.python_version(),
        "packages": {name: installed_version(name) for name in (*PACKAGES, *OPENCV)},
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }
    (folder / "run.json").write_text(json.dumps(record, indent=2) + "\n")


def _git(*arguments: str) -> str | None:
    """The output of a git command in this code's repository, or None if there is none."""
    folder = Path(__file__).parent
    try:
        result = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()
