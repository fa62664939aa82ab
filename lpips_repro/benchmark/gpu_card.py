"""The GPU and the versions of a result."""

import datetime
import platform
import subprocess

import torch

from lpips_repro.versions import code_digest


def describe_card(device: torch.device) -> dict[str, str]:
    """Return columns for a CSV: card, driver, versions of CUDA, torch and Python, digest of this code, and date."""
    return {
        "card": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "driver": _driver(),
        "cuda": str(torch.version.cuda),
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "code": code_digest(),
        "date": datetime.date.today().isoformat(),
    }


def _driver() -> str:
    """The version of the GPU driver, or "unknown" if nvidia-smi fails."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip().partition("\n")[0]
