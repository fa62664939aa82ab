"""The layers in which generators differ, by name: upsampling, normalization and activation.

The paper names these choices, but not their values. The values here were common at its time. To add a value, add an
entry.
"""

from collections.abc import Callable

from torch import nn

LEAK = 0.2


def convolution(before: int, after: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size at stride 1, and divides an even size by the stride."""
    return nn.Conv2d(before, after, kernel, stride=stride, padding=kernel // 2)


def _resized(mode: str) -> Callable[[int, int, int], nn.Module]:
    def build(before: int, after: int, kernel: int) -> nn.Module:
        return nn.Sequential(nn.Upsample(scale_factor=2, mode=mode), convolution(before, after, kernel))

    return build


def _transposed(before: int, after: int, kernel: int) -> nn.Module:
    return nn.ConvTranspose2d(before, after, kernel, stride=2, padding=kernel // 2, output_padding=1)


def _pixel_shuffle(before: int, after: int, kernel: int) -> nn.Module:
    return nn.Sequential(convolution(before, 4 * after, kernel), nn.PixelShuffle(2))


# Functions of (channels before, channels after, kernel) that return a module that doubles height and width.
UPSAMPLINGS: dict[str, Callable[[int, int, int], nn.Module]] = {
    "nearest": _resized("nearest"),
    "bilinear": _resized("bilinear"),
    "transposed": _transposed,
    "pixel_shuffle": _pixel_shuffle,
}
NORMALIZATIONS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda channels: nn.Identity(),
    "batch": nn.BatchNorm2d,
    "instance": nn.InstanceNorm2d,
}
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(LEAK),
    "elu": nn.ELU,
}
