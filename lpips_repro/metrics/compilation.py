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
    with torch._inductor.config.patch(freezing=freezing), torch._dynamo.config.patch(limits):
        try:
            yield
        except torch._dynamo.exc.TorchDynamoException as error:  # no compiler, no headers, one that is too old
            cause = getattr(error, "inner_exception", error)
            reason = f"{type(cause).__name__}: {str(cause).strip()}".splitlines()[0]
            raise UserError(
                f"the metric could not be compiled ({reason}): it takes a C++ compiler such as g++, on CUDA triton;"
                " compiled=False (compile=false) does without"
            ) from error


def why_not(device: torch.device) -> str | None:
    """Why nothing can be compiled for a device, or None where it can."""
    try:
        with compiling():
            torch.compile(lambda x: x.sin() + 1, dynamic=False)(torch.zeros(8, device=device))
    except UserError as error:
        return str(error)
    return None


def padded(images: Tensor, count: int) -> Tensor:
    """The images with black ones after them up to the count, so that nothing is compiled for fewer."""
    if len(images) == count:
        return images
    return F.pad(images, (0, 0) * (images.ndim - 1) + (0, count - len(images)))
