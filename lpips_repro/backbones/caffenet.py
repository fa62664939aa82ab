"""AlexNet as in Caffe ("CaffeNet"), the published form of the self-supervised networks of the paper's Table 5.

Krizhevsky, Sutskever, Hinton 2012, with two groups of channels in conv2, conv4 and conv5. Pooling comes before
normalization and keeps the last, partial window. The feature maps are conv1 to conv5, after ReLU.
"""

import torch
from torch import Tensor, nn

from lpips_repro.backbones.registry import register_backbone
from lpips_repro.color import rgb_to_lab, shift_and_scale

CHANNELS = (96, 256, 384, 384, 256)
# ImageNet's mean of blue, green and red, in [0, 255], which Caffe's models subtract.
MEAN_BGR = (104.007, 116.669, 122.679)
# Groups of each convolution. In a split network all have two.
GROUPS = (1, 2, 1, 2, 2)


def to_bgr(images: Tensor) -> Tensor:
    """RGB (N, 3, H, W) in [-1, 1] to blue, green, red in [0, 255], minus ImageNet's mean."""
    return shift_and_scale((images.flip(1) + 1) * 127.5, MEAN_BGR)


def to_lab(images: Tensor) -> Tensor:
    """RGB (N, 3, H, W) in [-1, 1] to CIE Lab (D65): L - 50, a, b. L is the gray image, a and b are its chroma."""
    # Clamped, since rounding may leave the range.
    return shift_and_scale(rgb_to_lab(((images + 1) / 2).clamp(0, 1)), (50.0, 0.0, 0.0))


class GreyAndChroma(nn.Module):
    """A first layer in two halves: one convolution of the gray channel, another of the two chroma channels."""

    def __init__(self, channels: int, kernel_size: int, stride: int):
        super().__init__()
        self.grey = nn.Conv2d(1, channels // 2, kernel_size, stride)
        self.chroma = nn.Conv2d(2, channels // 2, kernel_size, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W), gray first, to (N, channels, H', W')."""
        return torch.cat((self.grey(x[:, :1]), self.chroma(x[:, 1:])), dim=1)


def caffenet_layers(norm: str, *, split: bool = False) -> nn.Sequential:
    """The layers up to relu5.

    Args:
        norm: "lrn" (local response normalization after the first two poolings) or "batch" (batch normalization after
            each convolution).
        split: two separate networks with half the channels each, for gray and for chroma.
    """
    layers: list[nn.Module] = []
    previous = 3
    for index, channels in enumerate(CHANNELS):
        if index == 0:
            layers.append(GreyAndChroma(channels, 11, 4) if split else nn.Conv2d(3, channels, 11, 4))
        else:
            size = 5 if index == 1 else 3
            groups = 2 if split else GROUPS[index]
            layers.append(nn.Conv2d(previous, channels, size, padding=size // 2, groups=groups))
        if norm == "batch":
            layers.append(nn.BatchNorm2d(channels))
        layers.append(nn.ReLU(inplace=True))
        if index < 2:
            layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
            if norm == "lrn":
                layers.append(nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75))
        previous = channels
    return nn.Sequential(*layers)


def _register(name: str, norm: str, preprocess, *, split: bool = False) -> None:
    relus = [i for i, layer in enumerate(caffenet_layers(norm, split=split)) if isinstance(layer, nn.ReLU)]

    @register_backbone(name, taps=tuple(relus), channels=CHANNELS, min_size=23, preprocess=preprocess)
    def layers() -> nn.Sequential:
        return caffenet_layers(norm, split=split)


_register("caffenet", "lrn", to_bgr)
_register("caffenet-bn", "batch", to_bgr)
_register("caffenet-split", "batch", to_lab, split=True)
