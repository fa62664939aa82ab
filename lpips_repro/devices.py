"""Copies to a device, and whether bfloat16 is fast on it."""

import functools
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

# Instructions that multiply bfloat16 numbers, as /proc/cpuinfo names them (x86, then Arm).
BFLOAT16_INSTRUCTIONS = {"avx512_bf16", "amx_bf16", "bf16"}


def send(data: np.ndarray | Tensor, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """Copy data to a device without waiting for the copy.

    Args:
        data: an array, or a tensor on the CPU. The result may share its memory if the device is the CPU.
        device: where the copy goes.
        dtype: dtype of the result; by default that of the data.
    """
    tensor = data if isinstance(data, Tensor) else torch.from_numpy(data)
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = pin(tensor)
    return tensor.to(device, dtype, non_blocking=True)


def pin(tensor: Tensor) -> Tensor:
    """A copy of a CPU tensor in pinned memory, which a GPU reads by itself. Every copy to a GPU goes through here."""
    return tensor.pin_memory()


@functools.cache
def native_bfloat16() -> bool | None:
    """Whether the CPU has instructions for bfloat16, or None if the system does not say."""
    try:
        info = Path("/proc/cpuinfo").read_text()
    except OSError:
        return None
    lines = [line for line in info.splitlines() if line.startswith(("flags", "Features"))]
    return any(flag in BFLOAT16_INSTRUCTIONS for line in lines for flag in line.split())


@functools.cache
def warn_of_slow_bfloat16() -> None:
    """Warn, once per process, if bfloat16 is slower than float32 on this CPU."""
    if native_bfloat16() is False:
        warnings.warn(
            "this CPU has no bfloat16 instructions (avx512_bf16, amx_bf16): bfloat16 is 3 to 12 times slower on it than"
            " float32, and less exact: use float32",
            stacklevel=3,
        )
