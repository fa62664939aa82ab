"""The perceptual loss of the paper's Table 2 ("VGG"): the difference of feature maps of a frozen network."""

import torch
from torch import Tensor, nn

from lpips_repro.backbones import Backbone
from lpips_repro.metrics.lpips.core import SCALE, SHIFT
from lpips_repro.weights.folder import WeightsNotFoundError
from lpips_repro.weights.imagenet import imagenet_state

EPSILON = 1e-6  # for the mean of a feature map that is zero everywhere


class PerceptualLoss(nn.Module):
    """The mean absolute difference of feature maps, relative to the mean of the original's map, averaged over all maps.

    Args:
        backbone: the network, which is frozen; its `min_size` is the least side of an image.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone.eval().requires_grad_(False)
        for name, values in (("shift", SHIFT), ("scale", SCALE)):
            self.register_buffer(name, torch.tensor(values).reshape(1, 3, 1, 1))

    def forward(self, made: Tensor, original: Tensor) -> Tensor:
        """The loss, a scalar, of images (N, 3, H, W) in [0, 1]. Only `made` gets a gradient."""
        with torch.no_grad():
            wanted = self._maps(original)
        pairs = zip(self._maps(made), wanted, strict=True)
        return torch.stack([(a - b).abs().mean() / (b.abs().mean() + EPSILON) for a, b in pairs]).mean()

    def _maps(self, images: Tensor) -> list[Tensor]:
        return [one.float() for one in self.backbone((2 * images - 1 - self.shift) / self.scale)]


def perceptual_loss(net: str, *, download: bool) -> PerceptualLoss:
    """The perceptual loss with a network that has its ImageNet weights.

    Args:
        net: a key of `BACKBONES`, such as "vgg"; download: whether missing weights may be downloaded.

    Raises:
        WeightsNotFoundError: if the weights are not found.
    """
    try:
        state = imagenet_state(net, download=download)
    except WeightsNotFoundError as error:
        remedy = "or set perceptual=squeeze, perceptual=alex or perceptual=null (no perceptual loss)"
        raise WeightsNotFoundError(f"perceptual={net}: {error}, {remedy}") from None
    return PerceptualLoss(Backbone(net, state))
