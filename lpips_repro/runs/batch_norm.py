"""Batch normalization over the examples of all ranks, on any device: `torch.nn.SyncBatchNorm` needs GPUs."""

import functools
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lpips_repro.distributed import Ranks


def normalize_over_ranks(module: nn.Module, ranks: Ranks) -> None:
    """Make the batch normalization layers of a module use the examples of all ranks, if they are in training mode.

    Args:
        module: the module. Its layers are changed in place, and keep their parameters and buffers.
        ranks: the processes that share each batch. Each has at least one example. With one rank nothing changes.
    """
    if ranks.world == 1:
        return
    for layer in module.modules():
        if isinstance(layer, _BatchNorm):
            # A compiled backbone is interrupted here, since the ranks exchange sums.
            uncompiled = torch.compiler.disable(_normalize)
            layer.forward = functools.partial(uncompiled, layer)  # type: ignore[method-assign]


def _normalize(layer: _BatchNorm, inputs: Tensor) -> Tensor:
    """Replaces a layer's `forward`; inputs: this rank's examples (N, C, ...)."""
    if not layer.training:
        return type(layer).forward(layer, inputs)
    values = inputs.to(torch.promote_types(inputs.dtype, torch.float32))
    mean, variance, count = _moments(values)
    if layer.track_running_stats:
        _update(layer, mean.detach(), variance.detach(), count.detach())
    shape = (1, -1, *(1 for _ in range(values.dim() - 2)))
    scale = (variance + layer.eps).rsqrt()
    normalized = (values - mean.to(values).view(shape)) * scale.to(values).view(shape)
    if layer.affine:
        normalized = normalized * layer.weight.view(shape) + layer.bias.view(shape)
    return normalized.to(inputs.dtype)


def _moments(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance by channel over all ranks, (C,) in float64, and the number of values per channel."""
    variance, mean = (part.double() for part in torch.var_mean(values, [0, *range(2, values.dim())], correction=0))
    # A sum of squares loses digits in the subtraction below. In float64 enough are left.
    parts = torch.cat((mean, variance + mean.square(), mean.new_ones(1)))
    *sums, count = _SumOverRanks.apply(parts * (values.numel() // values.shape[1])).split((len(mean), len(mean), 1))
    mean, squares = (part / count for part in sums)
    return mean, squares - mean.square(), count


@torch.no_grad()
def _update(layer: _BatchNorm, mean: Tensor, variance: Tensor, count: Tensor) -> None:
    """Update the running mean and variance, as `torch.nn.BatchNorm2d` does."""
    assert layer.num_batches_tracked is not None and layer.running_mean is not None and layer.running_var is not None
    layer.num_batches_tracked.add_(1)
    share = 1 / layer.num_batches_tracked.item() if layer.momentum is None else layer.momentum
    layer.running_mean.lerp_(mean.to(layer.running_mean), share)
    layer.running_var.lerp_((variance * count / (count - 1)).to(layer.running_var), share)


class _SumOverRanks(torch.autograd.Function):
    """The sum of a tensor over all ranks, for a loss that is a sum over all ranks."""

    @staticmethod
    def forward(_: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total
