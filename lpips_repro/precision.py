"""TF32 on a GPU: float32 convolutions and matrix products with a mantissa of 10 bits instead of 23.

By default PyTorch computes convolutions on a GPU in TF32. Distances do not depend on this default: `LPIPS` computes
inside `full_float32`. TF32 is used only inside `tf32(True)`.

PyTorch's switches are global. The contexts can be nested, and open in several threads at the same time, as in
`torch.nn.DataParallel`: the last one to close restores the state before the first one.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch

Restore = Callable[[], None]

# torch >= 2.9 has a second set of switches, called "fp32_precision".
_NEW_CONVOLUTIONS: Any = getattr(torch.backends.cudnn, "conv", None)
_NEW_PRODUCTS = _NEW_CONVOLUTIONS and torch.backends.cuda.matmul
# The CPU's switch follows the old switch of matrix products.
_CPU_PRODUCTS = _NEW_CONVOLUTIONS and getattr(torch.backends.mkldnn, "matmul", None)

_lock = threading.Lock()
# The open contexts in their order, and whether each enables TF32.
_chosen: dict[object, bool] = {}
_guarded: dict[object, bool] = {}
_applied: bool | None = None  # the current state of the switches
_restore: Restore | None = None


def tf32(wanted: bool) -> AbstractContextManager[None]:
    """A context that computes float32 convolutions and matrix products on a GPU in TF32, or in full precision."""
    return _open(_chosen, wanted)


def full_float32() -> AbstractContextManager[None]:
    """A context that computes float32 on a GPU in full precision, unless a context of `tf32` is open."""
    return _open(_guarded, False)


def set_tf32(wanted: bool) -> Restore:
    """Set the switches of convolutions (cuDNN) and matrix products (cuBLAS); return a function that restores them."""
    cpu_before = _CPU_PRODUCTS and _CPU_PRODUCTS.fp32_precision
    value = "high" if wanted else "highest"
    undo = [
        _set(_convolutions, _set_convolutions, wanted, _NEW_CONVOLUTIONS, wanted),
        _set(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, value, _NEW_PRODUCTS, wanted),
    ]

    def restore() -> None:
        for function in undo:
            function()
        if _CPU_PRODUCTS and _CPU_PRODUCTS.fp32_precision != cpu_before:
            _CPU_PRODUCTS.fp32_precision = cpu_before

    return restore


@contextlib.contextmanager
def _open(blocks: dict[object, bool], wanted: bool) -> Iterator[None]:
    block = object()
    with _lock:
        blocks[block] = wanted
        _apply()
    try:
        yield
    finally:
        with _lock:
            del blocks[block]
            _apply()


def _apply() -> None:
    """Set the switches for the open contexts. The last context of `tf32`, if any, decides."""
    global _applied, _restore
    wanted = next(reversed((_chosen or _guarded).values()), None)
    if wanted == _applied:
        return
    if _restore is not None:
        _restore()
    _restore = None if wanted is None else set_tf32(wanted)
    _applied = wanted


def _convolutions() -> bool:
    return torch.backends.cudnn.allow_tf32


def _set_convolutions(value: bool) -> None:
    torch.backends.cudnn.allow_tf32 = value


def _set(read: Callable, write: Callable, value: object, new_switch: Any, wanted: bool) -> Restore:
    new_before = new_switch and new_switch.fp32_precision
    try:
        before = read()
    except RuntimeError:  # a program that has set the new switch cannot read the old one
        before = None
    else:
        write(value)
    if new_switch and (new_switch.fp32_precision == "tf32") != wanted:  # it does not follow the old switch
        new_switch.fp32_precision = "tf32" if wanted else "ieee"

    def restore() -> None:
        if before is not None:
            write(before)
        if new_switch and new_switch.fp32_precision != new_before:
            new_switch.fp32_precision = new_before

    return restore
