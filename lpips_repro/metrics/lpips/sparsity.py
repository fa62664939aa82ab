"""The share of lin weights that are zero (the paper's Figure 10)."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from lpips_repro.errors import UserError
from lpips_repro.metrics.lpips.released import lin_key

# Weights below count as zero. With this bound the official v0.0 weights give the paper's figures.
ZERO = 1e-3


def lin_layers(state: Mapping[str, Tensor]) -> list[Tensor]:
    """The lin weights of each layer, (C,).

    Args:
        state: a state dict with the released keys `linK.model.1.weight`, K from 0; others are ignored.

    Raises:
        UserError: if there are no lin weights.
    """
    layers: list[Tensor] = []
    while lin_key(len(layers)) in state:
        layers.append(state[lin_key(len(layers))].flatten())
    if not layers:
        raise UserError(f"no lin weights found: expected {lin_key(0)} and so on")
    return layers


def shares_below(layers: Sequence[Tensor], bound: float = ZERO) -> tuple[list[float], float]:
    """The share of lin weights below a bound, in percent: per layer, and over all layers."""
    small = [layer < bound for layer in layers]
    shares = [100 * layer.double().mean().item() for layer in small]
    return shares, 100 * sum(layer.sum().item() for layer in small) / sum(len(layer) for layer in small)
