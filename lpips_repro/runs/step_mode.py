"""The precision and compilation of a backbone in training steps."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lpips_repro.config import Precision
from lpips_repro.devices import warn_of_slow_bfloat16
from lpips_repro.errors import UserError
from lpips_repro.metrics.compilation import why_not


def check_device(precision: Precision, compiled: bool, device: torch.device, prefix: str = "") -> None:
    """Raise UserError if a device does not support the precision or compilation.

    Args:
        precision, compiled: the settings; prefix: prefix of their names, such as "trainer.".
    """
    if precision is Precision.tf32 and device.type != "cuda":
        raise UserError(f"{prefix}precision=tf32: only a GPU has TF32: use float32 or bfloat16")
    if compiled and (reason := why_not(device)):
        raise UserError(f"{prefix}compile=true: {reason}, or set it to false")
    if precision is Precision.bfloat16 and device.type == "cpu":
        warn_of_slow_bfloat16()


def compiled_with_gradient(function: Callable[..., Any], length: int | None = None) -> Callable[..., Any]:
    """A function that is compiled for calls with gradient, and not for calls without.

    Args:
        function: a function whose first argument is a tensor.
        length: length of the first argument that it is compiled for; None for any.
    """
    compiled = torch.compile(function, dynamic=False)

    @functools.wraps(function)
    def either(first: Tensor, *others: object) -> object:
        fits = torch.is_grad_enabled() and length in (None, len(first))
        return (compiled if fits else function)(first, *others)

    return either


def compile_forward(module: nn.Module, length: int | None = None) -> None:
    """Replace a module's `forward` by the result of `compiled_with_gradient`."""
    module.forward = compiled_with_gradient(module.forward, length)


def set_step_mode(backbone: nn.Module, precision: Precision, compiled: bool) -> None:
    """Make a backbone compute in bfloat16, or compiled, if gradients are enabled: in steps, but not for scores.

    Its maps are float32 in both cases. TF32 is a setting of the whole step: see `lpips_repro.precision`.
    """
    is_bfloat16 = precision is Precision.bfloat16
    if not (is_bfloat16 or compiled):
        return
    forward = compiled_with_gradient(backbone.forward) if compiled else backbone.forward

    def in_mode(images: Tensor) -> list[Tensor]:
        enabled = is_bfloat16 and torch.is_grad_enabled()
        with torch.autocast(images.device.type, torch.bfloat16, enabled=enabled):
            return [feature_map.float() for feature_map in forward(images)]

    backbone.forward = in_mode
