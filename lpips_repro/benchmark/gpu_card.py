"""The GPU and the versions that results belong to."""

import datetime
import platform
import subprocess

import torch

from lpips_repro.versions import code_digest


def describe_card(device: torch.device) -> dict[str, str]:
    """Columns for a CSV: card, driver, versions of CUDA, torch, Python and of the code here, and the date."""
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
    """The GPU driver's version, or "unknown" if nvidia-smi does not tell."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip().partition("\n")[0]
