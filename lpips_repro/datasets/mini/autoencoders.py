"""Small denoising autoencoders of random configuration, after the paper's CNN-based distortions.

The paper trains 96 of them, one epoch on ImageNet each, with l1, VGG and discriminator losses. Here a dozen with tens
of thousands of weights are trained for one or two seconds each, on patches of the train photographs, with an l1 or l2
loss. They show the artifacts of such networks: blur, checkerboards, lost or wrong colors, remains of input noise.
"""

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lpips_repro.datasets.mini.photographs import PADDED_SIZE, draw_patch
from lpips_repro.distortions.noise import colored_noise

BATCH, PATCHES = 4, 256
TRAINING_SIZE = 32  # side of the middle of a patch that is trained on: a multiple of 16
CORRUPTIONS = ("none", "white noise", "pink noise", "grey", "downsampling")
NOISE = (0.03, 0.15)  # standard deviation of the input noise, in units of the range
LEARNING_RATE = (1e-3, 4e-3)


@dataclass(frozen=True)
class Configuration:
    """One random draw of the paper's design choices, at the size of this dataset.

    Attributes:
        corruption: corruption of the input, one of CORRUPTIONS.
        channels: channels of the first layer and after each downsampling layer.
        first_stride: stride of the first layer, 1 or 2.
        skips: for each downsampling layer, whether the decoder also gets its input.
        forced_skip: whether the last layer also gets the image.
        dropout: for each downsampling layer, whether half of its channels are dropped in training.
        upsampling: nearest, bilinear or transposed (convolution).
        normalization: none, batch or instance.
        loss: l1 or l2.
        learning_rate: learning rate of Adam.
    """

    corruption: str
    channels: tuple[int, ...]
    first_stride: int
    skips: tuple[bool, ...]
    forced_skip: bool
    dropout: tuple[bool, ...]
    upsampling: str
    normalization: str
    loss: str
    learning_rate: float


def draw_configuration(rng: np.random.Generator) -> Configuration:
    """Draw every choice independently."""
    depth = int(rng.integers(1, 4))
    first, most = int(rng.choice((8, 12, 16))), int(rng.choice((24, 32, 48)))
    return Configuration(
        corruption=str(rng.choice(CORRUPTIONS)),
        channels=tuple(min(first * 2**layer, most) for layer in range(depth + 1)),
        first_stride=int(rng.choice((1, 2))),
        skips=tuple(bool(skip) for skip in rng.random(depth) < 0.6),
        forced_skip=bool(rng.random() < 0.3),
        dropout=tuple(bool(drop) for drop in rng.random(depth) < 0.15),
        upsampling=str(rng.choice(("nearest", "bilinear", "transposed"))),
        normalization=str(rng.choice(("none", "batch", "instance"))),
        loss=str(rng.choice(("l1", "l2"))),
        learning_rate=float(np.exp(rng.uniform(*np.log(LEARNING_RATE)))),
    )


class Autoencoder(nn.Module):
    """The network of a configuration: (N, 3, H, W) to the same shape, both in [0, 1]; H and W multiples of 16."""

    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        self.configuration = configuration
        channels, stride = configuration.channels, configuration.first_stride
        self.first = nn.Conv2d(3, channels[0], 5, stride=stride, padding=2)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for above, below, skip, drop in zip(
            channels[:-1], channels[1:], configuration.skips, configuration.dropout, strict=True
        ):
            self.down.append(nn.Sequential(nn.Conv2d(above, below, 4, stride=2, padding=1), *self._after(below, drop)))
            self.up.append(nn.ModuleList([self._upsample(below, above), self._merge(above, skip, drop)]))
        self.last_up = self._upsample(channels[0], channels[0]) if stride == 2 else nn.Identity()
        self.last = nn.Conv2d(channels[0] + 3 * configuration.forced_skip, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Encode and decode."""
        y = functional.leaky_relu(self.first(x), 0.2)
        inputs = []
        for layer in self.down:
            inputs.append(y)
            y = layer(y)
        for layers, skip, y_in in reversed(list(zip(self.up, self.configuration.skips, inputs, strict=True))):
            upsample, merge = cast(nn.ModuleList, layers)
            y = upsample(y)
            y = merge(torch.cat([y, y_in], dim=1) if skip else y)
        y = self.last_up(y)
        return torch.sigmoid(self.last(torch.cat([y, x], dim=1) if self.configuration.forced_skip else y))

    def _after(self, channels: int, drop: bool) -> list[nn.Module]:
        kinds = {"none": nn.Identity, "batch": nn.BatchNorm2d, "instance": nn.InstanceNorm2d}
        layers = [kinds[self.configuration.normalization](channels), nn.LeakyReLU(0.2)]
        return [*layers, nn.Dropout2d(0.5)] if drop else layers

    def _merge(self, channels: int, skip: bool, drop: bool) -> nn.Module:
        return nn.Sequential(nn.Conv2d(channels * (1 + skip), channels, 3, padding=1), *self._after(channels, drop))

    def _upsample(self, channels: int, out: int) -> nn.Module:
        if self.configuration.upsampling == "transposed":
            return nn.ConvTranspose2d(channels, out, 3, stride=2, padding=1, output_padding=1)
        return nn.Sequential(
            nn.Upsample(scale_factor=2, mode=self.configuration.upsampling), nn.Conv2d(channels, out, 3, padding=1)
        )


def train_autoencoder(rng: np.random.Generator, steps: int) -> Autoencoder:
    """Draw a configuration and train it on patches of the train photographs.

    Args:
        rng: the source of all random numbers. On one machine the same state gives the same weights if torch uses one
            thread.
        steps: Adam steps on batches of 4.
    """
    configuration = draw_configuration(rng)
    middle = slice((PADDED_SIZE - TRAINING_SIZE) // 2, (PADDED_SIZE + TRAINING_SIZE) // 2)
    patches = np.stack([draw_patch("train", rng)[middle, middle] for _ in range(PATCHES)])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**63)))
        network = Autoencoder(configuration)
        optimizer = torch.optim.Adam(network.parameters(), lr=configuration.learning_rate)
        loss_of = functional.l1_loss if configuration.loss == "l1" else functional.mse_loss
        for _ in range(steps):
            clean = patches[rng.integers(PATCHES, size=BATCH)]
            corrupted = np.stack([corrupt(patch, configuration.corruption, rng) for patch in clean])
            optimizer.zero_grad()
            loss_of(network(_to_tensor(corrupted)), _to_tensor(clean)).backward()
            optimizer.step()
    return network.eval().requires_grad_(False)


def reconstruct(network: Autoencoder, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The network's output for an image that is corrupted as in its training, float32 (H, W, 3).

    Args:
        network: from `train_autoencoder`.
        image: float32 (H, W, 3) in [0, 1], H and W multiples of 16.
        rng: draws the corruption.
    """
    corrupted = corrupt(image, network.configuration.corruption, rng)
    return network(_to_tensor(corrupted[None]))[0].permute(1, 2, 0).numpy()


def corrupt(image: np.ndarray, corruption: str, rng: np.random.Generator) -> np.ndarray:
    """The image with a corruption of CORRUPTIONS, float32 (H, W, 3). With noise, values may leave [0, 1]."""
    if corruption == "white noise":
        image = image + rng.uniform(*NOISE) * rng.standard_normal(image.shape)
    elif corruption == "pink noise":
        image = image + rng.uniform(*NOISE) * colored_noise(image.shape, 1.0, rng)
    elif corruption == "grey":
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    elif corruption == "downsampling":
        height, width = image.shape[:2]
        factor = int(rng.integers(2, 4))
        small = cv2.resize(image, (width // factor, height // factor), interpolation=cv2.INTER_AREA)
        image = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return image.astype(np.float32)


def _to_tensor(images: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
