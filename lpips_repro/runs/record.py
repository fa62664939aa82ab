"""The record of a run in its folder, with which it can be repeated."""

import copy
import json
import platform
import subprocess
import sys
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf

from lpips_repro.config.secrets import hide_arguments, hide_settings
from lpips_repro.files import write_whole
from lpips_repro.versions import installed_version

PACKAGES = ("torch", "torchvision", "numpy", "scipy", "hydra-core", "scikit-image", "pillow")
OPENCV = ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python")


def record_run(folder: Path, cfg: DictConfig) -> None:
    """Write config.yaml (resolved settings) and run.json (command, git commit, seed, versions) of a run.

    Mirrors are written without user, password and token.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shown = copy.deepcopy(cfg)
    hide_settings(shown)
    write_whole(folder / "config.yaml", OmegaConf.to_yaml(shown, resolve=True))
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
    write_whole(folder / "run.json", json.dumps(record, indent=2) + "\n")


def _git(*arguments: str) -> str | None:
    """The output of a git command in this code's repository, or None if there is none."""
    folder = Path(__file__).parent
    try:
        result = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()
