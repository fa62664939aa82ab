"""Rates of change of a network's layers, and scaling of layers so that all rates are equal.

The second part of Krähenbühl et al. 2016 (see `lpips_repro.pretraining.kmeans`). A layer's rate of change is

    C_k = E || dl / dW_k ||^2 / || W_k ||^2,   the expectation over images, and losses l = <eta, output>, eta ~ N(0, 1)

A ReLU network is positively homogeneous: scaling W_k by r_k, and the biases above accordingly, scales the output by
r_k, and C_k by r_k^-4 if the product of all factors is 1. So r_k = (C_k / C)^(1/4), with the geometric mean C, makes
all rates equal to C. Local response normalization does not scale exactly, so that the factors are found in a few
rounds. Each round normalizes the layers again, from bottom to top.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from lpips_repro.errors import UserError
from lpips_repro.pretraining.kmeans import normalise

# The rounds end if no rate differs more than this from the geometric mean.
TOLERANCE = 0.01
MOST_ROUNDS = 20
DRAWS = 2  # random losses per image
IMAGES_AT_ONCE = 16


def rates_of_change(layers: nn.Sequential, images: Tensor, seed: int) -> Tensor:
    """The rates of change of the convolutions' weights, (layers,), over preprocessed images (N, 3, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    weights = [layer.weight for layer in layers if isinstance(layer, nn.Conv2d)]
    squares = torch.zeros(len(weights), dtype=torch.float64)
    for weight in weights:
        weight.requires_grad_()
    for batch in images.split(IMAGES_AT_ONCE):
        output = layers(batch)
        for draw in range(DRAWS):
            # Losses of images are independent, so that the expected square of their sum is the sum of squares.
            loss = (output * torch.randn(output.shape, generator=generator)).sum()
            gradients = torch.autograd.grad(loss, weights, retain_graph=draw < DRAWS - 1)
            squares += torch.stack([gradient.double().square().sum() for gradient in gradients])
    for weight in weights:
        weight.requires_grad_(False)
    norms = torch.stack([weight.double().square().sum() for weight in weights])
    return squares / (len(images) * DRAWS) / norms


def relative(rates: Tensor) -> Tensor:
    """Rates divided by their geometric mean."""
    return rates / rates.log().mean().exp()


def equalise_rates(layers: nn.Sequential, images: Tensor, seed: int) -> Iterator[Tensor]:
    """Scale the convolutions until all rates are equal within `TOLERANCE`.

    Args:
        layers: layers with normalized channels; changed in place. The last layer keeps its scale.
        images: preprocessed images (N, 3, H, W).
        seed: seed of the losses.

    Yields:
        The rates divided by their geometric mean, before each round and at the end.

    Raises:
        UserError: if they are not equal after `MOST_ROUNDS`.
    """
    scales = torch.ones(sum(isinstance(layer, nn.Conv2d) for layer in layers), dtype=torch.float64)
    for _ in range(MOST_ROUNDS):
        rates = relative(rates_of_change(layers, images, seed))
        yield rates
        if (rates - 1).abs().max() <= TOLERANCE:
            return
        scales *= (rates.log() / 4).cumsum(0).exp()
        renormalise(layers, images, scales)
    raise UserError(f"rates of change differ after {MOST_ROUNDS} rounds: {rates.tolist()}: give more crops")


@torch.no_grad()
def renormalise(layers: nn.Sequential, images: Tensor, scales: Tensor) -> None:
    """Normalize the channels of each convolution to its scale as their deviation over images."""
    remaining = iter(scales.tolist())
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            normalise(layer, images, next(remaining))
        images = layer(images)
