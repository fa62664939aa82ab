"""The channel means of a layer, which lin weights are applied to, with their gradient for the feature maps.

For maps x of ref, p0 and p1, unit-normalized over channels at each place, u = x / (|x| + epsilon), they are the means
over the P places of the squared differences, each times 0 or 2 under dropout:

    m_kc = sum_p  f_kpc (u_kpc - u_ref,pc)^2 / P,        k = p0, p1

It is one operation with its own gradient, which computes u again instead of keeping it. On a CPU it processes the batch
in blocks that fit the cache, since access to memory takes longer than arithmetic.
"""

from typing import Any

import torch
from torch import Tensor

from lpips_repro.metrics.lpips.channels import NORM_EPSILON
from lpips_repro.training.dropout import factors

# Numbers per block, of ref, p0 and p1 together: the fastest of a measured range on a CPU with 1 MB of L2 per core.
BLOCK = 300_000


def channel_means(maps: Tensor, words: Tensor | None) -> Tensor:
    """The mean squared differences between ref and p0, and ref and p1, per channel, (N, 2, C).

    Args:
        maps: feature maps (3N, C, H, W) of N references, then of N images p0, then of N images p1.
        words: result of `Dropout.words` for maps of this size; None for no dropout.

    Returns:
        float32, also for maps in bfloat16; float64 for maps in float64.
    """
    return _ChannelMeans.apply(maps, words)


class _ChannelMeans(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, words: Tensor | None) -> Tensor:
        ctx.save_for_backward(maps, words)
        x = _places_first(maps)
        return torch.cat([_forward(x[:, block], _words_of(words, block)) for block in _blocks(x)])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        maps, words = ctx.saved_tensors
        x = _places_first(maps)
        out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        for block in _blocks(x):
            out[:, block] = _backward(x[:, block], _words_of(words, block), grad[block])
        height, width = maps.shape[2:]
        return out.flatten(0, 1).unflatten(1, (height, width)).permute(0, 3, 1, 2), None


def _places_first(maps: Tensor) -> Tensor:
    """(3N, C, H, W) as (3, N, P, C), without a copy if channels are last in memory."""
    return maps.permute(0, 2, 3, 1).flatten(1, 2).unflatten(0, (3, -1))


def _blocks(x: Tensor) -> list[slice]:
    count = x.shape[1]
    whole = x.is_cuda or torch.compiler.is_compiling()
    size = count if whole else max(1, BLOCK // x[:, 0].numel())
    return [slice(start, start + size) for start in range(0, count, max(size, 1))]


def _words_of(words: Tensor | None, block: slice) -> Tensor | None:
    return None if words is None else words[:, block]


def _unit(x: Tensor) -> tuple[Tensor, Tensor]:
    """Unit vectors, and their norms before normalization (3, N, P, 1)."""
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / (norm + NORM_EPSILON), norm


def _times_factors(values: Tensor, words: Tensor | None) -> Tensor:
    """Values (2, N, P, C) times dropout's factors, in place."""
    if words is None:
        return values
    return values.mul_(factors(words, values.shape[2], values.dtype))


def _forward(x: Tensor, words: Tensor | None) -> Tensor:
    u, _ = _unit(x)
    squared = _times_factors((u[1:] - u[:1]).square_(), words)
    places = x.shape[2]
    # A product with a vector is many times faster than a reduction over places.
    mean = u.new_full((1, places), 1 / places) @ squared
    return mean.squeeze(-2).transpose(0, 1)


def _backward(x: Tensor, words: Tensor | None, grad: Tensor) -> Tensor:
    """The gradient for x, (3, N, P, C), from the gradient for the means, (N, 2, C)."""
    u, norm = _unit(x)
    g = torch.empty_like(u)
    torch.sub(u[1:], u[:1], out=g[1:]).mul_((grad * (2 / x.shape[2])).transpose(0, 1)[:, :, None])
    _times_factors(g[1:], words)
    torch.add(g[1], g[2], out=g[0]).neg_()
    # Through the normalization: (g - u (u . g) (|x| + epsilon) / |x|) / (|x| + epsilon). If x is zero, u is zero too,
    # and no term is infinite.
    length = norm + NORM_EPSILON
    along = torch.linalg.vecdot(u, g)[..., None]
    along *= length / norm.clamp(min=torch.finfo(norm.dtype).tiny)
    return g.addcmul_(u, along, value=-1).div_(length)
