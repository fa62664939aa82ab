"""What a step does on a GPU, seen without one: on tensors that have a device and no values.

Three promises, a context each:

    with fake_gpu():             no operation mixes devices, and the host reads no value
    with asynchronous_copies():  no copy between devices is waited for; inside `fake_gpu`
    with no_host_read():         the host reads no value; on the CPU, where there is a backward pass

Backward is not possible on tensors without values: `fake_gpu` gives the parameters gradients in its place.
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
    """Tensors made inside have no values, and may be on `CUDA`; modules are moved there with `.to(CUDA)`.

    Reading a value raises, and so do operations whose result has a shape that depends on values, such as `nonzero`.
    The test is skipped if tensors with values cannot be moved there, as with torch 2.6.
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
    """Fail at the end unless all copies to the GPU are of pinned memory and not waited for, and none goes to the host.

    Operations on tensors of several devices count, too: an index or a value on the CPU is a copy in disguise.
    """
    with _Copies() as copies:
        yield copies
    assert not copies.faults, "\n".join(copies.faults)


@contextlib.contextmanager
def no_host_read() -> Iterator[None]:
    """Raise for what would make the host wait on a GPU: `item`, `bool`, `nonzero`, an index that is a mask.

    `tolist` and `numpy` are not seen here: on a CPU they are no operations. `fake_gpu` sees them.
    """
    with _Reads():
        yield


class _Generator(torch.Generator):
    """A generator that says it is on a GPU, where no number is drawn."""

    def __new__(cls, device: torch.device | str = "cpu"):
        made = super().__new__(cls)
        made.place = torch.device(device)
        return made

    @property
    def device(self) -> torch.device:
        return self.place


def note_host_reads(monkeypatch: pytest.MonkeyPatch, done: list[str]) -> None:
    """Add "to the host" to a list whenever a tensor goes there by `cpu()`."""
    cpu = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda self: done.append("to the host") or cpu(self))


def _pin(tensor: Tensor) -> Tensor:
    copied = tensor.clone()
    copied.pinned = True
    return copied


def _give_gradients(loss: Tensor) -> None:
    """What backward leaves: a gradient for each leaf that the loss depends on."""
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
    """The copies between devices.

    Attributes:
        sent: dtypes of those to the GPU; faults: what waits, each with its place in the package.
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
        """Note a copy; returns what is wrong with it."""
        if source.device.type == target.type:
            return None
        if target.type == "cpu":
            return "to the host"
        self.sent.append(source.dtype)
        if not non_blocking:
            return "is waited for"
        return None if getattr(source, "pinned", False) else "of memory that is not pinned"


def _disguised(func, args: tuple, kwargs: dict) -> str | None:
    """What is wrong with an operation that copies without saying so."""
    if func is aten.lift_fresh.default and args[0].is_cuda:
        return "of Python numbers"
    if func in INDEXED and _has_mask(args[1]):
        return "reads a mask"
    if func is aten.fill_.Tensor:  # x[:2] = 1.0: a number, which a GPU is given with the kernel
        return None
    found = {leaf.device.type for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
    return "of tensors on several devices" if len(found) > 1 else None


def _place() -> str:
    """The line of the package that is running."""
    frames = [frame for frame in traceback.extract_stack() if "/lpips_repro/" in frame.filename]
    return f"{frames[-1].filename}:{frames[-1].lineno}: {frames[-1].line}" if frames else "outside the package"


class _Reads(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket in READS or (func in INDEXED and _has_mask(args[1])):
            raise AssertionError(f"{func} reads a tensor: {_place()}")
        return func(*args, **(kwargs or {}))


def _has_mask(indices: list[Tensor | None]) -> bool:
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in indices)
