"""What a step does on a GPU, seen without one: on tensors that have a device and no values.

Three promises, a context each:

    with fake_gpu():           a device mismatch or a read by the host raises, as does what depends on values
    with asynchronous_copies():  nothing is copied between devices in a way that waits; on top of `fake_gpu`
    with no_host_read():       the host reads no tensor; on the CPU, where there are values and gradients

Backward is not possible on tensors without values: `fake_gpu` gives the parameters gradients in its place.
"""

import contextlib
import traceback
from collections.abc import Iterator
from unittest.mock import patch

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lpips_repro import devices

CUDA = torch.device("cuda", 0)
aten = torch.ops.aten


@contextlib.contextmanager
def fake_gpu() -> Iterator[None]:
    """Tensors made inside have no values, and may be on `CUDA`; modules are moved there with `.to(CUDA)`.

    Reading a value raises, as do operations whose result has a shape that depends on values (`nonzero`, masks).
    """
    with (
        FakeTensorMode(allow_non_fake_inputs=True),
        patch.object(torch, "Generator", _Generator),
        patch.object(torch.Tensor, "backward", _give_gradients),
        patch.object(devices, "pin", _pin),
    ):
        yield


@contextlib.contextmanager
def asynchronous_copies() -> Iterator[None]:
    """Fail unless all copies to the GPU are of pinned memory and not waited for, and none goes to the host.

    Operations on tensors of several devices count, too: an index or a value on the CPU is a copy in disguise.
    """
    with _Copies() as copies:
        yield
    assert not copies.faults, "\n".join(copies.faults)


@contextlib.contextmanager
def no_host_read() -> Iterator[None]:
    """Raise where the value of a tensor decides something: `item`, `bool`, `nonzero`, boolean masks, `.numpy()` apart.

    For the CPU, where an operation has no device to wait for: on a GPU it would wait.
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
    def __init__(self):
        super().__init__()
        self.faults: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if fault := _fault(func, args, kwargs):
            self.faults.append(f"{func} {fault}: {_place()}")
        return func(*args, **kwargs)


def _fault(func, args: tuple, kwargs: dict) -> str | None:
    if func is aten._to_copy.default:
        return _fault_of_copy(args[0], kwargs.get("device", args[0].device), kwargs.get("non_blocking", False))
    if func is aten.copy_.default:
        target, source, *blocking = args
        return _fault_of_copy(source, target.device, (*blocking, False)[0])
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    if func is aten.lift_fresh.default and tensors[0].is_cuda:
        return "of Python numbers"
    if func is aten.fill_.Tensor:  # x[:2] = 1.0: a number, which a GPU is given with the kernel
        return None
    return "of tensors on several devices" if len({tensor.device.type for tensor in tensors}) > 1 else None


def _fault_of_copy(source: Tensor, target: torch.device, non_blocking: bool) -> str | None:
    if source.device.type == target.type:
        return None
    if target.type == "cpu":
        return "to the host"
    if not non_blocking:
        return "is waited for"
    return None if getattr(source, "pinned", False) else "of memory that is not pinned"


def _place() -> str:
    """The line of the package that is running."""
    frames = [frame for frame in traceback.extract_stack() if "/lpips_repro/" in frame.filename]
    return f"{frames[-1].filename}:{frames[-1].lineno}: {frames[-1].line}" if frames else "outside the package"


class _Reads(TorchDispatchMode):
    READS = (aten._local_scalar_dense, aten.nonzero, aten.masked_select, aten.is_nonzero, aten.equal)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket in self.READS or (func is aten.index.Tensor and _has_mask(args[1])):
            raise AssertionError(f"{func} reads a tensor: {_place()}")
        return func(*args, **(kwargs or {}))


def _has_mask(indices: list[Tensor | None]) -> bool:
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in indices)
