"""Whether operations on a tensor are only recorded, not run."""

import contextlib
import sys
import warnings

import torch
from torch import Tensor
from torch._subclasses import FakeTensor

_functorch = torch._C._functorch


def is_recorded(tensor: Tensor) -> bool:
    """Whether the values of a tensor cannot be read.

    That is the case under torch.compile, torch.export, torch.jit.trace, make_fx, torch.func.vmap and functionalize, for
    fake tensors and tensors on the meta device, and during the capture of a CUDA graph.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or _is_proxied() or _is_batched(tensor):
        return True
    if tensor.is_meta or isinstance(tensor, FakeTensor):
        return True
    return tensor.is_cuda and torch.cuda.is_current_stream_capturing()


def quiet_checks() -> contextlib.AbstractContextManager[object]:
    """A context for checks of shapes. It silences torch.jit.trace's warnings that they are not in the trace."""
    if torch.compiler.is_compiling() or not torch.jit.is_tracing():
        return contextlib.nullcontext()
    return warnings.catch_warnings(action="ignore", category=torch.jit.TracerWarning)


def is_transformed(tensor: Tensor) -> bool:
    """Whether a tensor is inside a transform such as torch.func.grad or torch.func.vmap."""
    return bool(_functorch.is_functorch_wrapped_tensor(tensor))


def _is_proxied() -> bool:
    # A program that uses make_fx has imported it.
    module = sys.modules.get("torch.fx.experimental.proxy_tensor")
    return module is not None and module.get_proxy_mode() is not None


def _is_batched(tensor: Tensor) -> bool:
    """Whether a tensor belongs to torch.func.vmap or functionalize, inside other transforms or not."""
    while _functorch.is_functorch_wrapped_tensor(tensor):
        if _functorch.is_batchedtensor(tensor) or _functorch.is_functionaltensor(tensor):
            return True
        tensor = _functorch.get_unwrapped(tensor)
    return False
