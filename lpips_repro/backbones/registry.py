"""The registry of networks, and the module that turns images into feature maps with any of them."""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import WeightsEnum

from lpips_repro.errors import UserError, check_choice, check_new
from lpips_repro.modules import import_file

# Image side for which the largest output of a layer is measured.
USUAL_SIZE = 64


@dataclass(frozen=True)
class BackboneSpec:
    """The description of a network.

    Attributes:
        layers: builds the network: a sequence of layers, tapped at `taps`, or a module that returns a list of feature
            maps.
        channels: channels of each feature map.
        min_size: smallest image side for which every feature map has at least one place.
        taps: indices of the layers whose outputs are the feature maps, numbered as in torchvision's `features`.
        preprocess: converts RGB images (N, 3, H, W) in [-1, 1] to the network's input; None: version 0.1 of the metric
            scales by ImageNet's mean and standard deviation, version 0.0 does nothing.
        imagenet: torchvision's ImageNet weights.
        features_file: name of a file with only the convolutional part of these weights.
        left_out: prefixes of keys of published weights that no feature map needs.
        initialise: torchvision's initialization of a convolution; None if it is PyTorch's default.
        fetch: downloads published weights that torchvision does not have, or None.
        rename: converts the keys of published weights to the network's; None if they differ at most in `features.`.
    """

    layers: Callable[[], nn.Module]
    channels: tuple[int, ...]
    min_size: int
    taps: tuple[int, ...] = ()
    preprocess: Callable[[Tensor], Tensor] | None = None
    imagenet: WeightsEnum | None = None
    features_file: str = ""
    left_out: tuple[str, ...] = ("classifier.",)
    initialise: Callable[[nn.Conv2d], None] | None = None
    fetch: Callable[[], dict[str, Tensor]] | None = None
    rename: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None


BACKBONES: dict[str, BackboneSpec] = {}
# Networks that are registered on demand: the prefix of their names, and the function that registers one.
FAMILIES: dict[str, Callable[[str], None]] = {}


class NotInstalledError(UserError):
    """An optional package that a network needs is not installed. The message names the command that installs it."""


def register_backbone(name: str, **spec) -> Callable[[Callable[[], nn.Module]], Callable[[], nn.Module]]:
    """Return a decorator that registers a function that builds a network; `spec` has the fields of `BackboneSpec`."""

    def register(layers: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
        check_new("network", name, BACKBONES)
        BACKBONES[name] = BackboneSpec(layers, **spec)
        return layers

    return register


def check_backbone(name: str, setting: str = "net", file: str | None = None) -> None:
    """Raise UserError, with the known names, unless there is a network of this name.

    Args:
        name: a key of `BACKBONES`, or a name in one of the `FAMILIES`, which then registers it.
        setting: name of the setting, for the message.
        file: a Python file that registers networks, imported first.
    """
    if file is not None:
        import_file(Path(file), "network")
    family = next((register for begin, register in FAMILIES.items() if name.startswith(begin)), None)
    if family is not None and name not in BACKBONES:
        family(name)
    check_choice(setting, name, (*BACKBONES, *(f"{begin}NAME" for begin in FAMILIES)))


class Backbone(nn.Module):
    """A registered network up to its last feature map.

    Args:
        name: name of a network, as for `check_backbone`; an unknown name raises UserError.
        state: parameters with torchvision's keys, with or without the prefix `features.`. Keys that begin with one of
            the spec's `left_out` are ignored. Missing, unexpected, wrong-shaped or non-finite entries raise UserError.
            Without a state the parameters keep their initialization.
    """

    features: Any  # a sequence of layers, or a module that returns its maps
    # Numbers of maps that `each_map` yields after the next layer has read them, so that the caller may overwrite them.
    spent: frozenset[int] = frozenset()

    def __init__(self, name: str, state: dict[str, Tensor] | None = None):
        super().__init__()
        check_backbone(name)
        self.name = name
        self.spec = BACKBONES[name]
        self.features = self.spec.layers()
        if state is not None:
            if self.spec.rename is not None:
                state = self.spec.rename(state)
            state = {key: value for key, value in state.items() if not key.startswith(self.spec.left_out)}
            own = self.state_dict()
            if any(key not in own and f"features.{key}" in own for key in state):
                state = {f"features.{key}": value for key, value in state.items()}
            load_strictly(self, state, f"weights of {name}")

    # The spec may hold functions that cannot be pickled. Only the name is pickled; the registry has the spec.
    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "spec"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        check_backbone(self.name, "network of a pickled metric")
        self.spec = BACKBONES[self.name]

    def forward(self, x: Tensor) -> list[Tensor]:
        """The feature maps (N, channels, H', W') of preprocessed images (N, 3, H, W)."""
        return list(self.each_map(x))

    def each_map(self, x: Tensor) -> Iterator[Tensor]:
        """Yield the feature maps. A sequence of layers keeps no map after the caller has used it."""
        if not self.spec.taps:
            yield from self.features(x)
            return
        waiting: list[Tensor] = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if waiting:
                yield waiting.pop()
            if index in self.spec.taps:
                if self.spec.taps.index(index) in self.spent:
                    waiting.append(x)
                else:
                    yield x
        yield from waiting

    @property
    def map_density(self) -> float:
        """Numbers in the largest output of a layer, tapped or not, per pixel of the image."""
        side = max(USUAL_SIZE, self.spec.min_size)
        return _largest_output(self.name, side) / side**2


@functools.cache
def map_shapes(name: str, height: int, width: int) -> list[tuple[int, int]]:
    """(places, channels) of each feature map of an image of height x width."""
    with torch.device("meta"):
        maps = Backbone(name).eval()(torch.empty(1, 3, height, width))
    return [(feature_map[0, 0].numel(), feature_map.shape[1]) for feature_map in maps]


@functools.cache
def _largest_output(name: str, side: int) -> int:
    """Numbers in the largest output of a layer for an image of side x side pixels."""
    sizes = []

    def note(layer: nn.Module, inputs: tuple, output: object) -> None:
        if isinstance(output, Tensor):
            sizes.append(output.numel())

    with torch.device("meta"):
        backbone = Backbone(name).eval()
        for layer in backbone.modules():
            layer.register_forward_hook(note)
        backbone(torch.empty(1, 3, side, side))
    return max(sizes)


def load_strictly(module: nn.Module, state: dict[str, Tensor], what: str) -> None:
    """Load a state dict; raise UserError with the first key that is missing, unexpected, or fails `check_value`.

    Args:
        module: the module that loads the state.
        state: tensors by key.
        what: name of the state, for the message.
    """
    wanted = module.state_dict()
    for key in wanted:
        if key not in state:
            raise UserError(f"{what}: no entry {key!r}: expected all keys of the published network")
    for key, value in state.items():
        if key not in wanted:
            raise UserError(f"{what}: unexpected entry {key!r}")
        check_value(what, key, value, wanted[key].shape, floating=wanted[key].is_floating_point())
    module.load_state_dict(state)


def check_value(what: str, key: str, value: Tensor, shape: Sequence[int], *, floating: bool = True) -> None:
    """Raise UserError if an entry of a state dict is not a tensor, has another shape, or is not finite.

    If `floating`, integers are an error as well: they are weights of a quantized network, without its scales.
    """
    if not isinstance(value, Tensor):
        raise UserError(f"{what}: {key} is a {type(value).__name__}: expected a torch.Tensor")
    if tuple(value.shape) != tuple(shape):
        raise UserError(f"{what}: {key} has shape {tuple(value.shape)}: expected {tuple(shape)}")
    if floating and not value.is_floating_point():
        raise UserError(f"{what}: {key} has dtype {value.dtype}: expected floating point numbers")
    if not value.is_meta and not value.float().isfinite().all():  # float8 has no isfinite
        raise UserError(f"{what}: {key} holds values that are not finite")


def gaussian_state(name: str, seed: int) -> dict[str, Tensor]:
    """Random parameters for a network: Gaussian weights and zero biases, the paper's "Random" row.

    The paper gives no standard deviation, and the metric does not depend on it: without biases these ReLU networks are
    positively homogeneous, and the metric normalizes every feature map. sqrt(2 / fan_in) keeps the maps at the input's
    scale. Only convolutions and linear layers are changed.
    """
    generator = torch.Generator().manual_seed(seed)
    backbone = _seeded(name, seed)
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, math.sqrt(2 / module.weight[0].numel()), generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return backbone.state_dict()


def torchvision_state(name: str, seed: int) -> dict[str, Tensor]:
    """Random parameters for a network as torchvision initializes it: the start of "scratch" in the released code."""
    return _seeded(name, seed).state_dict()


def _seeded(name: str, seed: int) -> Backbone:
    """A network as torchvision initializes it."""
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would also set the state of GPUs
        backbone = Backbone(name)
        if backbone.spec.initialise is not None:
            for module in backbone.modules():
                if isinstance(module, nn.Conv2d):
                    backbone.spec.initialise(module)
    return backbone
