"""Filters from stacked k-means, without training.

Krähenbühl, Doersch, Donahue, Darrell, "Data-dependent Initializations of Convolutional Neural Networks", ICLR 2016
(arXiv 1511.06856), as in the authors' code (github.com/philkr/magic_init). The steps for each convolution in order,
from patches of its input:

    whiten      center, project onto as many principal components as there are filters, divide by their deviations
    k-means     of the whitened patches, scaled to length 1; a filter is the projection onto a cluster's center
    normalize   weights and bias so that each channel has deviation 1 and mean BIAS over images, before its ReLU

In a grouped convolution, the filters of each group come from patches of their own channels.
`lpips_repro.pretraining.rates_of_change` then equalizes the layers.
"""

import warnings
from collections.abc import Iterator

import numpy as np
import scipy.linalg
import torch
import torch.nn.functional as F
from sklearn.cluster import MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor, nn

from lpips_repro.errors import UserError

BIAS = 0.1  # the authors' default
# Lower bound of a component's variance, as a share of the largest component's variance.
LEAST_VARIANCE = 1e-6
# Layers whose output scales with their input (LRN nearly).
IN_A_ROW = (nn.Conv2d, nn.ReLU, nn.MaxPool2d, nn.LocalResponseNorm)


def check_row(net: str, layers: nn.Module) -> None:
    """Raise UserError unless the layers are a sequence of convolutions, ReLUs, poolings and LRN."""
    row = list(layers) if isinstance(layers, nn.Sequential) else [layers]
    others = {type(layer).__name__ for layer in row if not isinstance(layer, IN_A_ROW)}
    if others:
        found = ", ".join(sorted(others))
        raise UserError(f"backbone={net}: has {found}: k-means needs {', '.join(kind.__name__ for kind in IN_A_ROW)}")
    for number, layer in enumerate(row):
        # With weight or spectral normalization the weight is computed, and values written to it are lost.
        if isinstance(layer, nn.Conv2d) and not isinstance(layer.weight, nn.Parameter):
            raise UserError(f"backbone={net}: the weight of layer {number} is computed: use one without normalization")


@torch.no_grad()
def stack_kmeans(
    layers: nn.Sequential, images: Tensor, others: Tensor, patches: int, seed: int
) -> Iterator[dict[str, int]]:
    """Set the filters of all convolutions, one after the other, in place.

    Args:
        layers: layers that pass `check_row`; changed in place.
        images: preprocessed images (N, 3, H, W), whose patches are clustered.
        others: other such images for normalization: a filter responds most to the images that it was made from.
        patches: number of patches of each layer's input.
        seed: seed of the patches' places and of k-means.

    Yields:
        The numbers of filters and patches of each convolution, after it is set.

    Raises:
        UserError: if there are too few images, or if they are too similar.
    """
    number = 0
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            number += 1
            rng = np.random.default_rng([seed, number])
            drawn = draw_patches(layer, images, patches, rng)
            groups = drawn.chunk(layer.groups, dim=1)
            filters = len(layer.weight) // layer.groups
            if len(drawn) < filters:
                remedy = f"patches={patches} is too few" if len(drawn) == patches else "give more crops"
                raise UserError(f"{len(drawn)} patches for the {filters} filters of conv{number}: {remedy}")
            weight = [kmeans_filters(group.flatten(1).float().numpy(), filters, rng) for group in groups]
            layer.weight.copy_(torch.from_numpy(np.concatenate(weight)).view_as(layer.weight))
            normalise(layer, others, 1.0)
            yield {"filters": len(layer.weight), "patches": len(drawn)}
        images, others = layer(images), layer(others)


def draw_patches(layer: nn.Conv2d, inputs: Tensor, count: int, rng: np.random.Generator) -> Tensor:
    """Patches of a convolution's input, (count, channels, rows, columns), from random places, or from all places."""
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    # PyTorch computes this attribute for all kinds of padding, also for padding="same".
    windows = F.pad(inputs, layer._reversed_padding_repeated_twice, mode)
    for dim, size, stride, step in zip((2, 3), layer.kernel_size, layer.stride, layer.dilation, strict=True):
        windows = windows.unfold(dim, (size - 1) * step + 1, stride)[..., ::step]
    places = (len(windows), *windows.shape[2:4])
    total = int(np.prod(places))
    drawn = np.sort(rng.choice(total, min(count, total), replace=False))
    image, y, x = map(torch.from_numpy, np.unravel_index(drawn, places))
    return windows[image, :, y, x]


def kmeans_filters(patches: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Filters (count, D) from patches (N, D), by k-means of the whitened patches, scaled to length 1."""
    centered = (patches - patches.mean(axis=0)).astype(np.float64)
    size = centered.shape[1]
    covariance = centered.T @ centered / len(centered)
    variance, directions = scipy.linalg.eigh(covariance, subset_by_index=(max(0, size - count), size - 1))
    if variance[-1] <= 0:
        raise UserError("all patches are equal: give photographs")
    whitening = directions / np.sqrt(np.maximum(variance, LEAST_VARIANCE * variance[-1]))
    whitened = centered @ whitening
    whitened /= np.maximum(np.linalg.norm(whitened, axis=1, keepdims=True), np.finfo(float).tiny)
    clusters = MiniBatchKMeans(count, batch_size=10 * count, n_init=1, random_state=int(rng.integers(2**32)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct patches than filters
        centers = clusters.fit(whitened).cluster_centers_
    return centers @ whitening.T


@torch.no_grad()
def normalise(layer: nn.Conv2d, inputs: Tensor, scale: float) -> None:
    """Give each channel the deviation `scale` and the mean `scale` x BIAS over these inputs.

    A convolution without bias keeps its mean.
    """
    outputs = layer._conv_forward(inputs, layer.weight, None)
    deviation, mean = torch.std_mean(outputs, dim=(0, 2, 3))
    if not (deviation > 0).all():
        raise UserError("a filter responds to nothing: give more crops, or more varied photographs")
    factor = scale / deviation
    layer.weight.mul_(factor.view(-1, 1, 1, 1))
    if layer.bias is not None:
        layer.bias.copy_(scale * BIAS - factor * mean)
