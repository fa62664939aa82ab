"""A network of consecutive layers, cut after the last one whose output is a feature map."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn


class Tapped(nn.Sequential):
    """The layers of a network, with their names, up to the last one that is tapped.

    Args:
        network: a network that applies its children one after the other.
        after: names of the children whose outputs are feature maps.
        channels_last: whether its maps are (N, H, W, C).
    """

    def __init__(self, network: nn.Module, after: Sequence[str], *, channels_last: bool = False):
        children = list(network.named_children())
        end = [name for name, _ in children].index(after[-1])
        super().__init__(OrderedDict(children[: end + 1]))
        self.after, self.channels_last = tuple(after), channels_last

    def forward(self, x: Tensor) -> list[Tensor]:
        """The maps (N, C, H', W') of images (N, 3, H, W)."""
        maps = []
        for name, layer in self.named_children():
            x = layer(x)
            if name in self.after:
                maps.append(x.permute(0, 3, 1, 2) if self.channels_last else x)
        return maps
