"""The networks by name, and the one module they all become: a stack of layers with feature maps tapped from it."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.models import WeightsEnum

from lpips_repro.errors import UserError, check_choice


@dataclass(frozen=True)
class BackboneSpec:
    """What is known of a network before it is built.

    Attributes:
        layers: builds the layers, numbered as in torchvision's `features`.
        taps: indices of the layers whose outputs are the feature maps.
        channels: channels of each feature map.
        min_size: smallest image side that leaves every feature map at least one pixel.
        imagenet: torchvision's ImageNet weights.
        features_file: name of a file that holds only their convolutional part.
        initialise: what torchvision does to each fresh convolution; None where it leaves them as PyTorch makes them.
    """

    layers: Callable[[], nn.Sequential]
    taps: tuple[int, ...]
    channels: tuple[int, ...]
    min_size: int
    imagenet: WeightsEnum
    features_file: str
    initialise: Callable[[nn.Conv2d], None] | None = None


BACKBONES: dict[str, BackboneSpec] = {}


def register_backbone(name: str, **spec) -> Callable[[Callable[[], nn.Sequential]], Callable[[], nn.Sequential]]:
    """Register a function that builds the layers of a network; `spec` holds the other fields of `BackboneSpec`."""

    def register(layers: Callable[[], nn.Sequential]) -> Callable[[], nn.Sequential]:
        BACKBONES[name] = BackboneSpec(layers, **spec)
        return layers

    return register


class Backbone(nn.Module):
    """A registered network, cut after its last tapped layer; parameters are named as in torchvision's model.

    Args:
        name: a key of `BACKBONES`; any other raises UserError.
        state: parameters under torchvision's keys `features.N...`; keys of the classifier are passed over. Missing,
            unexpected, wrong-shaped or non-finite entries raise UserError. Without a state the parameters are left
            as PyTorch initialises them.
    """

    def __init__(self, name: str, state: dict[str, Tensor] | None = None):
        super().__init__()
        check_choice("net", name, BACKBONES)
        self.name = name
        self.spec = BACKBONES[name]
        self.features = self.spec.layers()
        if state is not None:
            state = {key: value for key, value in state.items() if not key.startswith("classifier.")}
            load_strictly(self, state, f"weights of {name}")

    def forward(self, x: Tensor) -> list[Tensor]:
        """The feature maps, one a tap, (N, channels, H', W') each, of preprocessed images (N, 3, H, W)."""
        return list(self.each_map(x))

    def each_map(self, x: Tensor) -> Iterator[Tensor]:
        """The feature maps one after the other; none is kept that the caller does not keep."""
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.spec.taps:
                yield x

    @property
    def map_density(self) -> float:
        """Numbers in the largest feature map, the first one, for each pixel of the image."""
        first = self.features[0]
        return first.out_channels / math.prod(first.stride)


def load_strictly(module: nn.Module, state: dict[str, Tensor], what: str) -> None:
    """Load a state dict, or raise UserError naming the first key that is missing, unexpected, misshapen or not finite.

    Args:
        module: takes the state.
        state: tensors by key.
        what: what the state is, for the message.
    """
    wanted = module.state_dict()
    for key in wanted:
        if key not in state:
            raise UserError(f"{what}: no entry {key!r}: expected the keys of torchvision's model, such as {key!r}")
    for key, value in state.items():
        if key not in wanted:
            raise UserError(f"{what}: unexpected entry {key!r}")
        if value.shape != wanted[key].shape:
            raise UserError(f"{what}: {key} has shape {tuple(value.shape)}: expected {tuple(wanted[key].shape)}")
        if not value.isfinite().all():
            raise UserError(f"{what}: {key} holds values that are not finite")
    module.load_state_dict(state)


def gaussian_state(name: str, seed: int) -> dict[str, Tensor]:
    """Random parameters for a network: Gaussian weights and zero biases, the paper's "Random" row.

    The paper gives no standard deviation. Without biases the ReLU networks here are positively homogeneous and the
    metric normalises every feature map, so it does not matter; sqrt(2 / fan_in) keeps the maps at the input's scale.
    """
    generator = torch.Generator().manual_seed(seed)
    state = Backbone(name).state_dict()
    for value in state.values():
        if value.ndim == 1:
            value.zero_()
        else:
            value.normal_(0.0, math.sqrt(2 / value[0].numel()), generator=generator)
    return state


def torchvision_state(name: str, seed: int) -> dict[str, Tensor]:
    """Random parameters for a network as torchvision initialises it: where "scratch" begins in the released code."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would set the GPUs' state too
        backbone = Backbone(name)
        if backbone.spec.initialise is not None:
            for module in backbone.modules():
                if isinstance(module, nn.Conv2d):
                    backbone.spec.initialise(module)
    return backbone.state_dict()
