"""The machine and the versions of a measurement."""

import datetime
import importlib.metadata
import os
import platform
import re
from pathlib import Path

import torch

from lpips_repro.devices import native_bfloat16

PEERS = ("lpips", "piq", "torchmetrics", "scikit-image")

# Dense operations per second in float32, TF32 and bfloat16 (NVIDIA's data sheets), by CUDA's name of the device.
PEAK_TFLOPS = {
    "NVIDIA A100-SXM4-40GB": (19.5, 156, 312),
    "NVIDIA A100-SXM4-80GB": (19.5, 156, 312),
    "NVIDIA A100-PCIE-40GB": (19.5, 156, 312),
    "NVIDIA A100 80GB PCIe": (19.5, 156, 312),
    "NVIDIA H100 80GB HBM3": (66.9, 494.7, 989.4),
    "NVIDIA H100 PCIe": (51.2, 378, 756),
    "NVIDIA H200": (66.9, 494.7, 989.4),
}
# Whether the processor has instructions for bfloat16: if not, float32 is faster.
BFLOAT16 = {True: "native", False: "emulated", None: "unknown"}
PRECISIONS = ("float32", "tf32", "bfloat16")


def precisions_of(device: torch.device) -> tuple[str, ...]:
    """Return the precisions in which a network can be computed on a device."""
    return PRECISIONS if device.type == "cuda" else ("float32", "bfloat16")


def describe(device: torch.device) -> dict[str, str]:
    """Return columns for the CSV: processor, cores, threads, bfloat16, GPU, versions and date."""
    columns = {
        "cpu": _cpu_name(),
        "cores": str(_cores()),
        "threads": str(torch.get_num_threads()),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cpu_bfloat16": BFLOAT16[native_bfloat16()],
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else "",
    }
    versions = {"torch": str(torch.__version__)} | {name: _version(name) for name in PEERS}
    return columns | versions | {"date": datetime.date.today().isoformat()}


def slug(machine: dict[str, str]) -> str:
    """Return a name for files: the GPU (or else the processor) and the number of cores."""
    return file_name(f"{machine['gpu'] or machine['cpu']} {machine['cores']} cores")


def file_name(text: str) -> str:
    """Return a text as a part of a file name: lowercase letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def peak_flops(device: torch.device, precision: str) -> float | None:
    """Return the peak operations per second of a GPU, or None if it is unknown."""
    if device.type != "cuda":
        return None
    peaks = PEAK_TFLOPS.get(torch.cuda.get_device_name(device))
    return peaks and 1e12 * peaks[PRECISIONS.index(precision)]


def _cpu_name() -> str:
    try:
        info = Path("/proc/cpuinfo").read_text()
    except OSError:
        info = ""
    found = re.search(r"^model name\s*: *(.+)$", info, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()


def _cores() -> int:
    # Cores that this process may use, if the system has this function.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
