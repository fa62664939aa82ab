"""The two networks of an autoencoder: the generator, and the discriminator, which is only used in training."""

import itertools
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from lpips_repro.cnn_distortions.config import AutoencoderConfig
from lpips_repro.cnn_distortions.layers import ACTIVATIONS, LEAK, NORMALIZATIONS, UPSAMPLINGS, convolution

DISCRIMINATOR_CHANNELS = (32, 256)  # after the first layer, and the largest number


class Generator(nn.Module):
    """An encoder and a decoder with skip connections.

    Args:
        config: describes the layers.
    """

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        channels, kernel = config.channels, config.kernel
        self.first = nn.Sequential(
            convolution(3, channels[0], kernel, config.first_stride), ACTIVATIONS[config.activation]()
        )
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        levels = zip(itertools.pairwise(channels), config.skips, config.dropout, strict=True)
        for (above, below), skip, drop in levels:
            self.down.append(self._block(convolution(above, below, kernel, 2), below, drop))
            merge = self._block(convolution(above * (1 + skip), above, kernel), above, drop)
            self.up.append(nn.ModuleList([UPSAMPLINGS[config.upsampling](below, above, kernel), merge]))
        is_halved = config.first_stride == 2
        self.last_up = UPSAMPLINGS[config.upsampling](channels[0], channels[0], kernel) if is_halved else nn.Identity()
        self.last = convolution(channels[0] + 3 * config.forced_skip, 3, kernel)

    def forward(self, x: Tensor) -> Tensor:
        """Encode and decode images (N, 3, H, W) of any size; return images of this shape in [0, 1]."""
        height, width = x.shape[2:]
        x = self._padded(x)
        y = self.first(x)
        seen = []
        for layer in self.down:
            seen.append(y)
            y = layer(y)
        for layers, skip, earlier in reversed(list(zip(self.up, self.config.skips, seen, strict=True))):
            upsample, merge = cast(nn.ModuleList, layers)
            y = upsample(y)
            y = merge(torch.cat([y, earlier], dim=1) if skip else y)
        y = self.last_up(y)
        y = self.last(torch.cat([y, x], dim=1) if self.config.forced_skip else y)
        return torch.sigmoid(y.float())[..., :height, :width]

    def _padded(self, x: Tensor) -> Tensor:
        """Repeat the last row and column up to a size that the encoder can halve."""
        # The smallest map needs two pixels per side: instance normalization refuses a single pixel.
        factor = self.config.factor
        bottom, right = (max(2 * factor, -(-size // factor) * factor) - size for size in x.shape[2:])
        return functional.pad(x, (0, right, 0, bottom), mode="replicate") if bottom or right else x

    def _block(self, layer: nn.Module, channels: int, drop: bool) -> nn.Sequential:
        layers = [layer, NORMALIZATIONS[self.config.normalization](channels), ACTIVATIONS[self.config.activation]()]
        return nn.Sequential(*layers, *([nn.Dropout2d(0.5)] if drop else []))


class Discriminator(nn.Sequential):
    """A network that maps images (N, 3, H, W) to log odds that each part of them is real, (N, 1, H', W').

    Spectral normalization limits it, so that the generator can learn at the beginning.

    Args:
        layers: number of layers that halve the size; H and W are at least 2^layers.
    """

    def __init__(self, layers: int) -> None:
        first, most = DISCRIMINATOR_CHANNELS
        channels = [3, *(min(first * 2**level, most) for level in range(layers))]
        built: list[nn.Module] = []
        for before, after in itertools.pairwise(channels):
            built += [spectral_norm(nn.Conv2d(before, after, 4, stride=2, padding=1)), nn.LeakyReLU(LEAK)]
        super().__init__(*built, spectral_norm(nn.Conv2d(channels[-1], 1, 3, padding=1)))
