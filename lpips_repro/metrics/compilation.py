"""Compilation of metrics: one compilation per shape, and one clear error if compilation fails."""

import contextlib
from collections.abc import Iterator

import torch
import torch._dynamo
import torch._inductor.config
import torch.nn.functional as F
from torch import Tensor

from lpips_repro.errors import UserError

# The same function is compiled for each network, setting and shape. By default torch allows 8 compilations of it.
MOST_COMPILATIONS = 1000


@contextlib.contextmanager
def compiling(freezing: bool = False) -> Iterator[None]:
    """A context for calls of a compiled function. The first call compiles it.

    Args:
        freezing: make the weights constants, in the layout that suits the processor. There is no gradient then.

    Raises:
        UserError: if compilation fails, with the reason.
    """
    limits = {"cache_size_limit": MOST_COMPILATIONS, "accumulated_cache_size_limit": MOST_COMPILATIONS}
    # Numbers are constants: torch 2.6 cannot take them as inputs in inference mode.
    settings = {**limits, "specialize_float": True}
    with torch._inductor.config.patch(freezing=freezing), torch._dynamo.config.patch(settings):
        try:
            yield
        except torch._dynamo.exc.TorchDynamoException as error:
            text = (
                f"the metric could not be compiled: {_reason(error)}, or switch it off (compiled=False, compile=false)"
            )
            raise UserError(text) from error


def why_not(device: torch.device) -> str | None:
    """The reason why torch cannot compile for a device, with the remedy, or None if it can."""
    try:
        torch.compile(lambda x: x.sin() + 1, dynamic=False)(torch.zeros(8, device=device))
    except Exception as error:  # of many types: no compiler, no triton, a cache that cannot be written
        return _reason(error)
    return None


def _reason(error: Exception) -> str:
    cause = getattr(error, "inner_exception", error)
    first_line = str(cause).strip().partition("\n")[0]
    return (
        f"{type(cause).__name__}: {first_line}: install a C++ compiler such as g++ (for a GPU triton) if there is none"
    )


def padded(images: Tensor, count: int) -> Tensor:
    """The images, followed by black ones up to `count`, so that smaller batches need no compilation."""
    if len(images) == count:
        return images
    # In the inference mode in which the images were made: torch compiles again for tensors made in another mode.
    with torch.inference_mode(images.is_inference()), torch.set_grad_enabled(torch.is_grad_enabled()):
        return F.pad(images, (0, 0) * (images.ndim - 1) + (0, count - len(images)))
