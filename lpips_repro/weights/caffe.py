"""Published weights of Caffe's networks, from `.caffemodel` files and `.npy` dictionaries, for the CaffeNet backbones.

Layers are found by name, conv1 to conv5. Networks with several columns that share weights call those of the first
column conv1_1 or conv1_s1, and so on. A missing bias is zero. BatchNorm and Scale between a convolution and its ReLU
are the batch normalization of `caffenet-bn` and `caffenet-split`. The halves of conv1 of `caffenet-split` are two
layers whose names begin with conv1, the smaller one for gray, or one conv1 whose other weights are zero. Weights of a
`.npy` dictionary in TensorFlow's order (height, width, in, out) are transposed.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lpips_repro.backbones.caffenet import CHANNELS, GreyAndChroma
from lpips_repro.backbones.registry import BACKBONES, Backbone
from lpips_repro.errors import UserError
from lpips_repro.weights.caffe_npy import read_caffe_npy
from lpips_repro.weights.caffemodel import Layer, read_caffemodel

READERS = {".caffemodel": read_caffemodel, ".npy": read_caffe_npy}
NAME = re.compile(r"conv([1-5])(_s?1)?")

# A convolution and the layers between it and the next, by kind.
Block = dict[str, list[Layer]]
Arrays = dict[str, np.ndarray]


def read_caffe(path: Path, net: str) -> dict[str, Tensor]:
    """The state dict of a backbone from a file of Caffe's layers.

    Args:
        path: a `.caffemodel` file or a `.npy` dictionary.
        net: a CaffeNet backbone.

    Raises:
        UserError: if the file cannot be read, or if a layer is missing, wrong-shaped or of another kind of network. The
            message names the file, the layer, what was found and what is expected.
    """
    if BACKBONES[net].channels != CHANNELS:
        nets = ", ".join(name for name, spec in BACKBONES.items() if spec.channels == CHANNELS)
        raise UserError(f"{path}: a file of a Caffe network, which {net} is not: expected one of {nets}")
    if not path.is_file():
        raise UserError(f"{path}: no such weights file")
    backbone = Backbone(net)
    features = list(backbone.features)
    layers = READERS[path.suffix](path)
    blocks = _blocks(path, layers, split=isinstance(features[0], GreyAndChroma))
    arrays: Arrays = {}
    convolutions = [index for index, module in enumerate(features) if isinstance(module, nn.Conv2d | GreyAndChroma)]
    for number, index in enumerate(convolutions, 1):
        if number not in blocks:
            found = ", ".join(layer.name for layer in layers if layer.kind == "Convolution") or "none"
            raise UserError(f"{path}: no layer conv{number}: expected the convolutions conv1 to conv5, found {found}")
        block, where = blocks[number], f"{path}: layer conv{number}"
        arrays |= _prefixed(index, _convolutions(where, block["Convolution"], features[index]))
        if isinstance(features[index + 1], nn.BatchNorm2d):
            arrays |= _prefixed(index + 1, _batch_norm(where, block, features[index + 1]))
        elif "BatchNorm" in block or "Scale" in block:
            raise UserError(f"{where}: a BatchNorm or Scale follows it: expected neither for {net}")
        if any(layer.slope for layer in block.get("ReLU", ())):
            raise UserError(f"{where}: a ReLU of slope {block['ReLU'][0].slope:g} follows it: {net} expects slope 0")
    read = {key: torch.from_numpy(np.array(value, dtype=np.float32)) for key, value in arrays.items()}
    return {**backbone.state_dict(), **read}


def _blocks(path: Path, layers: Iterable[Layer], *, split: bool) -> dict[int, Block]:
    """The blocks of conv1 to conv5, by number."""
    blocks: dict[int, Block] = {}
    block: Block | None = None
    for layer in layers:
        if layer.kind == "Convolution":
            name = NAME.fullmatch("conv1" if split and layer.name.startswith("conv1") else layer.name)
            block = blocks.setdefault(int(name[1]), {}) if name else None
        if block is None:
            continue
        if layer.kind in ("BatchNorm", "Scale") and "ReLU" in block:
            raise UserError(f"{path}: layer {layer.name}: a {layer.kind} after a ReLU: expected it before")
        block.setdefault(layer.kind, []).append(layer)
    return blocks


def _prefixed(index: int, arrays: Arrays) -> Arrays:
    return {f"features.{index}.{key}": value for key, value in arrays.items()}


def _convolutions(where: str, layers: list[Layer], module: nn.Conv2d | GreyAndChroma) -> Arrays:
    """The parameters of a convolution, or of both halves of one."""
    if isinstance(module, nn.Conv2d):
        return _convolution(where, layers[0].blobs, tuple(module.weight.shape))
    grey, chroma = tuple(module.grey.weight.shape), tuple(module.chroma.weight.shape)
    if len(layers) == 1:
        whole = _convolution(where, layers[0].blobs, (grey[0] + chroma[0], grey[1] + chroma[1], *grey[2:]))
        weights, biases = np.split(whole["weight"], 2), np.split(whole["bias"], 2)
        if weights[0][:, grey[1] :].any() or weights[1][:, : grey[1]].any():
            raise UserError(f"{where}: its halves use all of Lab: expected one that uses L, and one that uses a and b")
        halves = {"grey": [weights[0][:, : grey[1]], biases[0]], "chroma": [weights[1][:, grey[1] :], biases[1]]}
    else:
        one, other = sorted((layer.blobs for layer in layers[:2]), key=lambda blobs: blobs[0].size if blobs else 0)
        halves = {"grey": one, "chroma": other}
    arrays = {
        "grey": _convolution(where, halves["grey"], grey),
        "chroma": _convolution(where, halves["chroma"], chroma),
    }
    return {f"{half}.{key}": value for half, values in arrays.items() for key, value in values.items()}


def _convolution(where: str, blobs: list[np.ndarray], shape: tuple[int, ...]) -> Arrays:
    weight, *rest = blobs or [np.empty(0)]
    bias = rest[0] if rest else np.zeros(shape[0])
    return {"weight": _shaped(f"{where}: weights", weight, shape), "bias": _shaped(f"{where}: bias", bias, shape[:1])}


def _batch_norm(where: str, block: Block, module: nn.BatchNorm2d) -> Arrays:
    """The parameters of a batch normalization. Caffe stores summed means and variances, and the divisor of both."""
    if "BatchNorm" not in block or len(block["BatchNorm"][0].blobs) != 3:
        raise UserError(f"{where}: no BatchNorm between it and its ReLU: expected one with mean, variance and divisor")
    shape = (module.num_features,)
    (mean, variance, divisor), epsilon = block["BatchNorm"][0].blobs, block["BatchNorm"][0].epsilon
    share = 1 / divisor.item() if divisor.any() else 0.0
    scale = block["Scale"][0].blobs if "Scale" in block else [np.ones(shape)]
    offset = scale[1] if len(scale) > 1 else np.zeros(shape)
    return {
        "weight": _shaped(f"{where}: Scale", scale[0], shape),
        "bias": _shaped(f"{where}: Scale's bias", offset, shape),
        "running_mean": _shaped(f"{where}: BatchNorm's mean", mean, shape) * share,
        "running_var": _shaped(f"{where}: BatchNorm's variance", variance, shape) * share + (epsilon - module.eps),
    }


def _shaped(what: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The array in this shape, converted from TensorFlow's order or from Caffe's older form of vectors."""
    if array.shape == (1, 1, 1, *shape):
        return array.reshape(shape)
    if len(shape) == 4 and array.shape == (*shape[2:], shape[1], shape[0]):
        return array.transpose(3, 2, 0, 1)
    if array.shape != shape:
        raise UserError(f"{what}: shape {array.shape}: expected {shape}")
    return array
