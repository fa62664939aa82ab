"""TF32 on a GPU: float32 convolutions and matrix products with a mantissa of 10 bits instead of 23.

PyTorch's default lets a GPU compute convolutions in TF32. The distances here never depend on that default: `LPIPS`
computes inside `full_float32`. TF32 is used only inside a block of `tf32(True)`.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator

import torch

Restore = Callable[[], None]

# torch >= 2.9 has a second set of switches. They are called "fp32_precision".
_NEW_CONVOLUTIONS = getattr(torch.backends.cudnn, "conv", None)
_NEW_PRODUCTS = _NEW_CONVOLUTIONS and torch.backends.cuda.matmul

_lock = threading.Lock()
_chosen = 0  # open blocks of `tf32`
_guarded = 0  # open blocks of `full_float32`, of all threads
_restore: list[Restore] = []  # what undoes the first of the guarded blocks


@contextlib.contextmanager
def tf32(wanted: bool) -> Iterator[None]:
    """Compute float32 convolutions and matrix products on a GPU in TF32, or in full precision, inside the block."""
    global _chosen
    with _lock:
        restore = set_tf32(wanted)
        _chosen += 1
    try:
        yield
    finally:
        with _lock:
            _chosen -= 1
            restore()


@contextlib.contextmanager
def full_float32() -> Iterator[None]:
    """Compute float32 on a GPU in full precision inside the block, unless a block of `tf32` is open.

    Several threads can be inside at the same time, as those of `torch.nn.DataParallel`: the switches are global, so
    the last one to leave puts back what the first one found.
    """
    global _guarded
    with _lock:
        if not _guarded and not _chosen:
            _restore.append(set_tf32(False))
        _guarded += 1
    try:
        yield
    finally:
        with _lock:
            _guarded -= 1
            if not _guarded and _restore:
                _restore.pop()()


def set_tf32(wanted: bool) -> Restore:
    """Set the switches of convolutions (cuDNN) and matrix products (cuBLAS); returns what undoes it."""
    undo = [
        _set(_convolutions, wanted, _NEW_CONVOLUTIONS, wanted),
        _set(_products, "high" if wanted else "highest", _NEW_PRODUCTS, wanted),
    ]
    return lambda: [function() for function in undo] and None


def _convolutions(value: bool | None = None) -> bool:
    if value is not None:
        torch.backends.cudnn.allow_tf32 = value
    return torch.backends.cudnn.allow_tf32


def _products(value: str | None = None) -> str:
    if value is not None:
        torch.set_float32_matmul_precision(value)
    return torch.get_float32_matmul_precision()


def _set(switch: Callable, value: object, new_switch: object | None, wanted: bool) -> Restore:
    new_before = new_switch and new_switch.fp32_precision
    try:
        before = switch()
        switch(value)
    except RuntimeError:  # a program that has set the new switch cannot read or set the old one
        before = None
    if new_switch and (new_switch.fp32_precision == "tf32") != wanted:  # it does not follow the old one
        new_switch.fp32_precision = "tf32" if wanted else "ieee"

    def restore() -> None:
        if before is not None:
            switch(before)
        if new_switch and new_switch.fp32_precision != new_before:
            new_switch.fp32_precision = new_before

    return restore
