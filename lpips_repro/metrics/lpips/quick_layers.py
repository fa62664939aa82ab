"""Layers that compute on a CPU what PyTorch's own compute, but for the rounding of sums, in less time.

They are for inference alone, and each leaves all else to the layer that it replaces: other devices and torch.compile.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.squeezenet import Fire

from lpips_repro.backbones import Backbone


class QuickLayer(nn.Module):
    """A layer instead of another one, which it keeps as `direct`."""

    direct: Any

    def __init__(self, direct: nn.Module):
        super().__init__()
        self.direct = direct

    @staticmethod
    def fits(layer: nn.Module) -> bool:
        """Whether it can replace a layer."""
        raise NotImplementedError


class PointwiseConv2d(QuickLayer):
    """A 1x1 convolution.

    With one thread and fewer than 16 images PyTorch leaves it to a general matrix product, which takes up to twice the
    time of oneDNN's convolution. With a dilation, which means nothing to a kernel of one place, it takes oneDNN's.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H, W)."""
        if x.device.type != "cpu" or torch.compiler.is_compiling():
            values: Tensor = self.direct(x)
            return values
        return F.conv2d(x, self.direct.weight, self.direct.bias, dilation=2)

    @staticmethod
    def fits(layer: nn.Module) -> bool:
        """Whether a layer is such a convolution."""
        if type(layer) is not nn.Conv2d:  # one derived from it may do something else
            return False
        settings = layer.kernel_size, layer.stride, layer.padding, layer.groups
        return settings == ((1, 1), (1, 1), (0, 0), 1)


class SeparableMaxPool2d(QuickLayer):
    """A maximum over 3x3 places with stride 2, of columns after rows: four comparisons instead of eight."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H', W')."""
        if x.device.type != "cpu" or torch.compiler.is_compiling() or min(x.shape[2:]) < 3:
            values: Tensor = self.direct(x)
            return values
        return self._along(self._along(x, 2), 3)

    def _along(self, x: Tensor, axis: int) -> Tensor:
        side = x.shape[axis]
        count = (side - 3 + self.direct.ceil_mode) // 2 + 1
        before = (slice(None),) * axis
        first, second, third = (x[(*before, slice(k, 2 * count + k - 1, 2))] for k in range(3))
        largest = torch.maximum(first, second)
        whole = largest.narrow(axis, 0, third.shape[axis])  # the last window of an even side has two places
        torch.maximum(whole, third, out=whole)
        return largest

    @staticmethod
    def fits(layer: nn.Module) -> bool:
        """Whether a layer is such a maximum."""
        if type(layer) is not nn.MaxPool2d or layer.return_indices:
            return False
        return (layer.kernel_size, layer.stride, layer.padding, layer.dilation) == (3, 2, 0, 1)


class OneReluFire(QuickLayer):
    """A Fire module of SqueezeNet with one ReLU after the concatenation, instead of one before for each part."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H, W)."""
        if x.device.type != "cpu" or torch.compiler.is_compiling():
            values: Tensor = self.direct(x)
            return values
        squeezed = self.direct.squeeze(x).relu_()
        return torch.cat((self.direct.expand1x1(squeezed), self.direct.expand3x3(squeezed)), dim=1).relu_()

    @staticmethod
    def fits(layer: nn.Module) -> bool:
        """Whether a layer is such a module."""
        return type(layer) is Fire


def replace_layers(network: nn.Module, *kinds: type[QuickLayer]) -> None:
    """Replace each layer of a network that a kind fits, in place."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            for kind in kinds:
                if kind.fits(child):
                    setattr(module, name, kind(child))


def spent_maps(backbone: Backbone) -> frozenset[int]:
    """Numbers of the maps that nothing needs after the next layer has read them: see `Backbone.spent`.

    It knows only layers that leave their input unchanged, and whose output does not share its memory.
    """
    if not backbone.spec.taps:
        return frozenset()
    following = [*[*backbone.features][1:], None]
    only_read = (nn.Conv2d, nn.MaxPool2d, Fire, QuickLayer)
    taps = enumerate(backbone.spec.taps)
    return frozenset(k for k, tap in taps if following[tap] is None or isinstance(following[tap], only_read))
