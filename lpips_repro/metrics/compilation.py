"""What the compiled forms of metrics share: one compilation a shape, and one clear error where there can be none."""

import contextlib
from collections.abc import Iterator

import torch
import torch._dynamo
import torch._inductor.config
import torch.nn.functional as F
from torch import Tensor

from lpips_repro.errors import UserError

# Each network, setting and shape is a compilation of the same function, of which torch allows 8 by default.
MOST_COMPILATIONS = 1000


@contextlib.contextmanager
def compiling(freezing: bool = False) -> Iterator[None]:
    """Around calls of what `torch.compile` gave, the first of which compiles.

    Args:
        freezing: make the weights constants, in the layout that the processor wants; no gradient can be had then.

    Raises:
        UserError: where compilation fails, with the reason.
    """
    limits = {"cache_size_limit": MOST_COMPILATIONS, "accumulated_cache_size_limit": MOST_COMPILATIONS}
    # Numbers are constants: torch 2.6 cannot take them as inputs in inference mode.
    settings = {**limits, "specialize_float": True}
    with torch._inductor.config.patch(freezing=freezing), torch._dynamo.config.patch(settings):
        try:
            yield
        except torch._dynamo.exc.TorchDynamoException as error:
            text = f"the metric could not be compiled: {_reason(error)}, or do without (compiled=False, compile=false)"
            raise UserError(text) from error


def why_not(device: torch.device) -> str | None:
    """Why nothing can be compiled for a device, with the remedy, or None where it can."""
    try:
        torch.compile(lambda x: x.sin() + 1, dynamic=False)(torch.zeros(8, device=device))
    except Exception as error:  # of many kinds: no compiler, no triton, a cache that cannot be written
        return _reason(error)
    return None


def _reason(error: Exception) -> str:
    cause = getattr(error, "inner_exception", error)
    first_line = str(cause).strip().partition("\n")[0]
    return (
        f"{type(cause).__name__}: {first_line}: install a C++ compiler such as g++ (for a GPU triton) if there is none"
    )


def padded(images: Tensor, count: int) -> Tensor:
    """The images with black ones after them up to the count, so that nothing is compiled for fewer."""
    if len(images) == count:
        return images
    # In the inference mode in which the images were made: for tensors of the other kind everything is compiled again.
    with torch.inference_mode(images.is_inference()), torch.set_grad_enabled(torch.is_grad_enabled()):
        return F.pad(images, (0, 0) * (images.ndim - 1) + (0, count - len(images)))
