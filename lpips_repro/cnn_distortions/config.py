"""The config of an autoencoder, which is stored with its weights and builds the same network again."""

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lpips_repro.cnn_distortions.corruptions import CORRUPTIONS
from lpips_repro.cnn_distortions.layers import ACTIVATIONS, NORMALIZATIONS, UPSAMPLINGS
from lpips_repro.errors import UserError, check_choice, expected

NAMES: dict[str, Iterable[str]] = {
    "corruption": CORRUPTIONS,
    "upsampling": UPSAMPLINGS,
    "normalization": NORMALIZATIONS,
    "activation": ACTIVATIONS,
}
LEAST = {"layers": 1, "kernel": 1, "first_channels": 1, "most_channels": 1, "discriminator_layers": 0}


@dataclass(frozen=True)
class AutoencoderConfig:
    """A point of the space of autoencoders, which `lpips_repro.cnn_distortions.space` draws.

    Attributes:
        corruption: name of the input corruption, a key of `CORRUPTIONS`; amount: its amount, in its unit.
        layers: number of encoder layers that halve the size, after the first layer.
        kernel: side of all convolutions, odd.
        first_stride: stride of the first layer, 1 or 2.
        first_channels: channels after the first layer; each following layer has twice as many, up to most_channels.
        skips: for each of `layers`, whether the decoder also sees the input of this layer.
        forced_skip: whether the last layer of the decoder also sees the input of the network.
        dropout: for each of `layers`, whether half of its channels are dropped in training.
        upsampling, normalization, activation: keys of their registries.
        discriminator_layers: number of discriminator layers that halve the size; 0: no discriminator.
        l1, perceptual, adversarial: weights of the losses, at least 0.
        perceptual_net: the network whose feature maps are compared, or None.
        learning_rate: learning rate of Adam.

    Raises:
        UserError: if no network can be built from a value, which the message names.
    """

    corruption: str
    amount: float
    layers: int
    kernel: int
    first_stride: int
    first_channels: int
    most_channels: int
    skips: tuple[bool, ...]
    forced_skip: bool
    dropout: tuple[bool, ...]
    upsampling: str
    normalization: str
    activation: str
    discriminator_layers: int
    l1: float
    perceptual: float
    adversarial: float
    perceptual_net: str | None
    learning_rate: float

    def __post_init__(self):
        for name, registry in NAMES.items():
            check_choice(name, getattr(self, name), registry)
        for name, least in LEAST.items():
            value = getattr(self, name)
            _check(name, value, type(value) is int and value >= least, f"an integer of at least {least}")
        _check("kernel", self.kernel, self.kernel % 2 == 1, "an odd integer")
        _check("first_stride", self.first_stride, self.first_stride in (1, 2), "1 or 2")
        for name in ("amount", "l1", "perceptual", "adversarial", "learning_rate"):
            value = getattr(self, name)
            _check(name, value, _is_number(value) and 0 <= value < math.inf, "a number of at least 0")
        for name in ("skips", "dropout"):
            value = getattr(self, name)
            fits = isinstance(value, tuple) and len(value) == self.layers and all(type(item) is bool for item in value)
            _check(name, value, fits, f"{self.layers} of true and false, one per layer")
        _check("l1", self.l1, self.l1 + self.perceptual + self.adversarial > 0, "a loss whose weight is above 0")

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels after the first layer and after each of `layers`."""
        return tuple(min(self.first_channels * 2**level, self.most_channels) for level in range(self.layers + 1))

    @property
    def factor(self) -> int:
        """The factor by which the encoder divides height and width."""
        return self.first_stride * 2**self.layers

    def to_json(self) -> dict[str, Any]:
        """The settings by name, as plain values for a JSON or YAML file."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}

    @classmethod
    def from_json(cls, content: Any, where: str = "config of an autoencoder") -> "AutoencoderConfig":
        """The config from the output of `to_json`.

        Args:
            content: the content of a file; where: the name of the file, for messages.

        Raises:
            UserError: if a setting, which the message names, is unknown, missing or out of range.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        if not isinstance(content, dict):
            raise UserError(f"{where}: holds a {type(content).__name__}: expected settings by name")
        for name in content:
            if name not in names:
                raise UserError(f"{where}: {name}: unknown setting: {expected(name, names)}")
        for name in names:
            if name not in content:
                raise UserError(f"{where}: {name}: no value: expected one for each of {', '.join(names)}")
        values: dict[str, Any] = {name: tuple(it) if isinstance(it, list) else it for name, it in content.items()}
        try:
            return cls(**values)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None


def _is_number(value: object) -> bool:
    return type(value) in (int, float)


def _check(name: str, value: object, fits: bool, wanted: str) -> None:
    if not fits:
        raise UserError(f"{name}={value}: expected {wanted}")
