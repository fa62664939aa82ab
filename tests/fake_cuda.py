"""Test code for GPUs without a GPU, on tensors that have a device but no values.

There are three contexts:

    with fake_gpu():             raises if an operation mixes devices, or if the host reads a value
    with asynchronous_copies():  fails if a copy between devices waits; use it inside `fake_gpu`
    with no_host_read():         raises if the host reads a value; on the CPU, with backward passes

Tensors without values have no backward pass: in its place, `fake_gpu` gives gradients to the parameters.
"""

import contextlib
import functools
import traceback
from collections.abc import Iterator
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lpips_repro import devices

CUDA = torch.device("cuda", 0)
aten = torch.ops.aten
INDEXED = (aten.index.Tensor, aten.index_put.default, aten.index_put_.default)
READS = (aten._local_scalar_dense, aten.nonzero, aten.masked_select, aten.is_nonzero, aten.equal)


@contextlib.contextmanager
def fake_gpu() -> Iterator[None]:
    """A context whose tensors have no values, and may be on `CUDA`. Modules are moved there with `.to(CUDA)`.

    Reading a value raises, and so do operations such as `nonzero`, whose shape depends on values. If tensors with
    values cannot be moved to `CUDA`, as with torch 2.6, the test is skipped.
    """
    if not _takes_real_tensors():
        pytest.skip(f"FakeTensorMode of torch {torch.__version__} moves tensors that have values by the driver")
    with (
        FakeTensorMode(allow_non_fake_inputs=True),
        patch.object(torch, "Generator", _Generator),
        patch.object(torch.Tensor, "backward", _give_gradients),
        patch.object(devices, "pin", _pin),
    ):
        yield


@functools.cache
def _takes_real_tensors() -> bool:
    real = torch.zeros(1)
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            real.to(CUDA, torch.float32)
    except RuntimeError:
        return False
    return True


@contextlib.contextmanager
def asynchronous_copies() -> Iterator["_Copies"]:
    """A context that fails at its end unless all copies are from pinned memory to the GPU, and none waits.

    Operations on tensors of several devices also fail: an index or a value on the CPU is a hidden copy.
    """
    with _Copies() as copies:
        yield copies
    assert not copies.faults, "\n".join(copies.faults)


@contextlib.contextmanager
def no_host_read() -> Iterator[None]:
    """A context that raises if the host would wait for a GPU: `item`, `bool`, `nonzero`, an index that is a mask.

    It does not find `tolist` and `numpy`, which are no operations on a CPU. `fake_gpu` finds them.
    """
    with _Reads():
        yield


class _Generator(torch.Generator):
    """A generator whose `device` is a GPU. It draws no numbers."""

    def __new__(cls, device: torch.device | str = "cpu"):
        made = super().__new__(cls)
        made.place = torch.device(device)
        return made

    @property
    def device(self) -> torch.device:
        return self.place


def note_host_reads(monkeypatch: pytest.MonkeyPatch, done: list[str]) -> None:
    """Add "to the host" to a list at each call of `Tensor.cpu()`."""
    cpu = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda self: done.append("to the host") or cpu(self))


def _pin(tensor: Tensor) -> Tensor:
    copied = tensor.clone()
    copied.pinned = True
    return copied


def _give_gradients(loss: Tensor) -> None:
    """Stands for backward: a gradient for each leaf that the loss depends on."""
    nodes, seen = [loss.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            node.variable.grad = torch.empty_like(node.variable)
        nodes += [before for before, _ in node.next_functions]


class _Copies(TorchDispatchMode):
    """A record of the copies between devices.

    Attributes:
        sent: dtypes of the copies to the GPU; faults: operations that wait, each with its line in the package.
    """

    def __init__(self):
        super().__init__()
        self.sent: list[torch.dtype] = []
        self.faults: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is aten._to_copy.default:
            fault = self.copy(args[0], kwargs.get("device", args[0].device), kwargs.get("non_blocking", False))
        elif func is aten.copy_.default:
            fault = self.copy(args[1], args[0].device, len(args) > 2 and args[2])
        else:
            fault = _disguised(func, args, kwargs)
        if fault:
            self.faults.append(f"{func} {fault}: {_place()}")
        return func(*args, **kwargs)

    def copy(self, source: Tensor, target: torch.device, non_blocking: bool) -> str | None:
        """Record a copy; return its fault, or None."""
        if source.device.type == target.type:
            return None
        if target.type == "cpu":
            return "to the host"
        self.sent.append(source.dtype)
        if not non_blocking:
            return "is waited for"
        return None if getattr(source, "pinned", False) else "of memory that is not pinned"


def _disguised(func, args: tuple, kwargs: dict) -> str | None:
    """The fault of an operation that contains a hidden copy, or None."""
    if func is aten.lift_fresh.default and args[0].is_cuda:
        return "of Python numbers"
    if func in INDEXED and _has_mask(args[1]):
        return "reads a mask"
    if func is aten.fill_.Tensor:  # x[:2] = 1.0: the number is an argument of the kernel
        return None
    found = {leaf.device.type for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
    return "of tensors on several devices" if len(found) > 1 else None


def _place() -> str:
    """The current line in the package."""
    frames = [frame for frame in traceback.extract_stack() if "/lpips_repro/" in frame.filename]
    return f"{frames[-1].filename}:{frames[-1].lineno}: {frames[-1].line}" if frames else "outside the package"


class _Reads(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket in READS or (func in INDEXED and _has_mask(args[1])):
            raise AssertionError(f"{func} reads a tensor: {_place()}")
        return func(*args, **(kwargs or {}))


def _has_mask(indices: list[Tensor | None]) -> bool:
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in indices)
