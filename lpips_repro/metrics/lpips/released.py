"""Conversion to and from state dicts of the authors' package `lpips`.

Its keys are `net.sliceK.N.*` (N: number of the layer in torchvision's `features`; K: number of the feature map that it
leads to, from 1), `linK.model.1.weight` (1, C, 1, 1) (K from 0), the same tensors as `lins.K.model.1.weight`, and
`scaling_layer.shift` and `scaling_layer.scale`. Networks that are not a sequence of layers, which the package does not
have, are stored as `net.*` with torchvision's names.
"""

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lpips_repro.backbones import BACKBONES, Backbone, check_backbone
from lpips_repro.backbones.registry import check_value
from lpips_repro.errors import UserError
from lpips_repro.weights.checkpoints import without_wrappers

OWN_PREFIXES = ("backbone.", "lin.")
RELEASED_PREFIXES = ("net.", "lins.", "scaling_layer.", *(f"lin{layer}." for layer in range(10)))


def lin_key(layer: int) -> str:
    """The released key of the lin weights of a layer, counted from 0."""
    return f"lin{layer}.model.1.weight"


def read_lin_state(state: Mapping[str, Tensor], channels: Sequence[int]) -> list[Tensor]:
    """The lin weights, one vector (C,) per layer, after strict checks.

    Raises:
        UserError: if a value is missing, unexpected, of a wrong shape, not finite or negative. The message names the
            key.
    """
    wanted = {lin_key(layer): (1, count, 1, 1) for layer, count in enumerate(channels)}
    for key in state:
        if key not in wanted:
            raise UserError(f"lin weights: unexpected entry {key!r}: expected {', '.join(wanted)}")
    for key, shape in wanted.items():
        if key not in state:
            raise UserError(f"lin weights: no entry {key!r}: expected {', '.join(wanted)}")
        _check_lin(key, state[key], shape)
    return [state[key].detach().flatten().clone() for key in wanted]


def _check_lin(key: str, value: Tensor, shape: tuple[int, ...]) -> None:
    check_value("lin weights", key, value, shape)
    if not value.is_meta and value.min() < 0:
        raise UserError(f"lin weights: {key} holds {value.min().item():g}: expected no negative weight")


def own_state(
    backbone: Backbone,
    lin: Sequence[Tensor],
    state: Mapping[str, Tensor],
    shift: Sequence[float],
    scale: Sequence[float],
) -> dict[str, Tensor]:
    """A state dict with our keys, from one with our keys or those of the released package.

    `load_state_dict` checks for missing and unexpected keys, since strict=False allows them.

    Args:
        backbone, lin: backbone and lin weights of the metric that loads the state.
        state: a state dict with our keys (`backbone.*`, `lin.K`) or the released ones.
        shift, scale: the metric's input scaling.

    Raises:
        UserError: if a value has a wrong shape, is not finite or is negative; and as `read_released_state`.
    """
    state = without_wrappers(state)
    if not any(key.startswith(OWN_PREFIXES) for key in state):
        released = {key: value for key, value in state.items() if key.startswith(RELEASED_PREFIXES)}
        weights, lin_weights = read_released_state(backbone.name, released, shift, scale)
        state = {key: value for key, value in state.items() if key not in released}
        state |= {f"backbone.{key}": value for key, value in weights.items()}
        state |= {f"lin.{key[3 : key.index('.')]}": value.flatten() for key, value in lin_weights.items()}
    own = {f"backbone.{key}": value for key, value in backbone.state_dict().items()}
    for key, value in state.items():
        if key in own:
            check_value(
                f"weights of {backbone.name}", key, value, own[key].shape, floating=own[key].is_floating_point()
            )
    own |= {f"lin.{layer}": weight for layer, weight in enumerate(lin)}
    for layer, weight in enumerate(lin):
        if (key := f"lin.{layer}") in state:
            _check_lin(key, state[key], tuple(weight.shape))
    # In the metric's dtype, also for `load_state_dict(..., assign=True)`, which takes the tensors themselves.
    return {key: value.to(own[key].dtype) if key in own else value for key, value in state.items()}


def read_released_state(
    net: str, state: Mapping[str, Tensor], shift: Sequence[float], scale: Sequence[float]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Split a released state dict into backbone parameters (torchvision's keys) and lin weights (released keys).

    Raises:
        UserError: if a key is unexpected or in the wrong slice, or if a value differs from its duplicate or the
            scaling.
    """
    weights: dict[str, Tensor] = {}
    lin_weights: dict[str, Tensor] = {}
    slices = _slices(net)
    for key, value in state.items():
        if slices and (match := re.fullmatch(r"net\.slice(\d+)\.(\d+)\.(.+)", key)):
            layer = int(match[2])
            if slices.get(layer) != int(match[1]):
                raise UserError(f"released weights: unexpected entry {key!r} for net {net!r}")
            weights[f"features.{layer}.{match[3]}"] = value
        elif not slices and key.startswith("net."):
            weights[key.replace("net.", "features.", 1)] = value
        elif match := re.fullmatch(r"lin(\d+)\.model\.[01]\.weight", key):  # 0 with use_dropout=False
            lin_weights[lin_key(int(match[1]))] = value
        elif key in ("scaling_layer.shift", "scaling_layer.scale"):
            expected = torch.tensor(shift if key.endswith("shift") else scale, device="cpu")
            # A checkpoint may be in half precision.
            rtol = 4 * torch.finfo(value.dtype).eps if value.is_floating_point() else 0.0
            if value.numel() == 3 and value.is_meta:
                continue
            if value.numel() != 3 or not torch.allclose(value.detach().cpu().flatten().float(), expected, rtol, 1e-7):
                raise UserError(f"released weights: {key} is {value.flatten().tolist()}: expected {expected.tolist()}")
        elif not re.fullmatch(r"lins\.\d+\.model\.[01]\.weight", key):
            raise UserError(f"released weights: unexpected entry {key!r}")
    for key, value in state.items():
        if key.startswith("lins."):
            single = lin_key(int(key.split(".")[1]))
            if single not in lin_weights or not (value.is_meta or torch.equal(value, lin_weights[single])):
                raise UserError(f"released weights: {key} differs from its duplicate {single}")
    return weights, lin_weights


def write_released_state(backbone: Backbone, lin: Sequence[Tensor], shift: Tensor, scale: Tensor) -> dict[str, Tensor]:
    """The state dict of the released package for a backbone and lin weights."""
    state = {"scaling_layer.shift": shift.clone(), "scaling_layer.scale": scale.clone()}
    slices = _slices(backbone.name)
    for key, value in backbone.state_dict().items():
        key = key.removeprefix("features.")
        place = f"slice{slices[int(key.partition('.')[0])]}.{key}" if slices else key
        state[f"net.{place}"] = value.detach().clone(memory_format=torch.contiguous_format)
    for layer, weight in enumerate(lin):
        for key in (lin_key(layer), f"lins.{layer}.model.1.weight"):
            state[key] = weight.detach().clone().view(1, -1, 1, 1)
    return state


def _slices(net: str) -> dict[int, int]:
    """The released slice of each layer of a sequence: the number, from 1, of the first tap at or after it."""
    check_backbone(net)
    taps = BACKBONES[net].taps
    if not taps:
        return {}
    return {layer: next(k for k, tap in enumerate(taps, 1) if tap >= layer) for layer in range(taps[-1] + 1)}
