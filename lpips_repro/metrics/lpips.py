"""LPIPS: Zhang, Isola, Efros, Shechtman, Wang, "The Unreasonable Effectiveness of Deep Features as a Perceptual
Metric", CVPR 2018 (arXiv 1801.03924), Equation 1:

    d(x, y) = sum_l  1 / (H_l W_l)  sum_hw  || w_l * (f_l(x)_hw - f_l(y)_hw) ||^2

with f_l the feature maps of layer l, unit-normalised over channels. As in the released code, the lin weights kept
here are the squares of the paper's w; all ones is the metric "off the shelf".
"""

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lpips_repro.backbones import BACKBONES, Backbone
from lpips_repro.backbones.weights import imagenet_state, read_state
from lpips_repro.errors import UserError, check_choice
from lpips_repro.metrics.inputs import check_images
from lpips_repro.metrics.lin_weights import official_lin_state
from lpips_repro.metrics.released import read_lin_state, read_released_state, write_released_state

VARIANTS = ("off_the_shelf", "lin", "tune", "scratch")
VERSIONS = ("0.0", "0.1")

# ImageNet's mean and standard deviation, carried over to inputs in [-1, 1].
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)

# Added to the norm of a feature vector, as in the released code.
NORM_EPSILON = 1e-10


class LPIPS(nn.Module):
    """The perceptual distance of two batches of images, frozen and in eval mode.

    Args:
        net: backbone: "alex", "vgg" or "squeeze".
        variant: "lin" (calibrated weights), "off_the_shelf" (all weights 1), or "tune" or "scratch" (the backbone is
            trained as well: `weights` and `lin_weights` must be given).
        version: "0.1", or "0.0", the first release, which did not scale its input (a bug, kept for the record; the
            paper's own figures most likely come from it).
        weights: backbone parameters: None for ImageNet's (looked up, then downloaded), a file, or a state dict with
            torchvision's keys.
        spatial: return a map of distances instead of its mean over the image.
        lin_weights: calibrated weights: None for the official ones of variant "lin" (looked up, then downloaded), a
            file, or a state dict with the released keys `linK.model.1.weight`.

    Raises:
        UserError (a ValueError): for an unknown net, variant or version; for weights that are missing, unexpected,
            wrong-shaped, not finite or, among lin weights, negative: the message names the key.
    """

    def __init__(
        self,
        net: str = "alex",
        variant: str = "lin",
        version: str = "0.1",
        weights: str | Path | Mapping[str, Tensor] | None = None,
        spatial: bool = False,
        *,
        lin_weights: str | Path | Mapping[str, Tensor] | None = None,
    ):
        super().__init__()
        check_choice("net", net, BACKBONES)
        check_choice("variant", variant, VARIANTS)
        check_choice("version", version, VERSIONS)
        if lin_weights is not None and variant == "off_the_shelf":
            raise UserError("lin_weights given with variant 'off_the_shelf': they belong to the others")
        if variant in ("tune", "scratch") and (weights is None or lin_weights is None):
            raise UserError(f"variant {variant!r} needs weights and lin_weights: none are published: see `make train`")
        self.variant = variant
        self.version = version
        self.spatial = spatial
        self.backbone = Backbone(net, dict(weights) if isinstance(weights, Mapping) else imagenet_state(net, weights))
        self.lin = nn.ParameterList()
        if variant != "off_the_shelf":
            if lin_weights is None:
                lin_weights = official_lin_state(net, version)
            elif not isinstance(lin_weights, Mapping):
                lin_weights = read_state(Path(lin_weights))
            self.lin.extend(read_lin_state(lin_weights, self.backbone.spec.channels))
        self.register_buffer("shift", torch.tensor(SHIFT).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False)
        self.eval()

    def forward(self, x: Tensor, y: Tensor, normalize: bool = False) -> Tensor:
        """The distances between images x and y.

        Args:
            x, y: RGB images (N, 3, H, W), in [-1, 1], or in [0, 1] with `normalize`.
            normalize: the inputs are in [0, 1].

        Returns:
            N distances, or N x 1 x H x W of them with `spatial`.

        Raises:
            ValueError: for a wrong type, dtype, shape, size or range, saying what came and what is wanted.
        """
        self._check(x, y, normalize)
        maps_x, maps_y = self.unit_feature_maps((x, y), normalize)
        return self._distance(maps_x, maps_y, x.shape[2:])

    def triplet(self, ref: Tensor, p0: Tensor, p1: Tensor, normalize: bool = False) -> tuple[Tensor, Tensor]:
        """The distances (ref, p0) and (ref, p1), with one pass over the reference; arguments as for `forward`."""
        self._check(ref, p0, normalize)
        self._check(ref, p1, normalize)
        maps_ref, maps_p0, maps_p1 = self.unit_feature_maps((ref, p0, p1), normalize)
        size = ref.shape[2:]
        return self._distance(maps_ref, maps_p0, size), self._distance(maps_ref, maps_p1, size)

    @classmethod
    def from_official(
        cls, net: str, version: str, state_dict: Mapping[str, Tensor], variant: str | None = None
    ) -> "LPIPS":
        """The metric that a state dict of the released `lpips.LPIPS` holds, such as `weights.pth` of a training run.

        Args:
            net, version: what the released metric was made with.
            state_dict: `net.sliceK.N.*`, `scaling_layer.*` and, unless it is off the shelf, `linK.model.1.weight`
                (with or without the duplicates `lins.*`).
            variant: what it was trained as; None for "lin", or "off_the_shelf" where there are no lin weights.

        Raises:
            UserError: naming the key that is missing, unexpected, wrong-shaped, not finite, negative, or contradicts
                its duplicate or the known scaling.
        """
        weights, lin_weights = read_released_state(net, state_dict, SHIFT, SCALE)
        variant = variant or ("lin" if lin_weights else "off_the_shelf")
        # Empty ones of a variant that needs them are refused, where None would stand for the official ones.
        absent = variant == "off_the_shelf" and not lin_weights
        return cls(net, variant, version, weights=weights, lin_weights=None if absent else lin_weights)

    def official_state_dict(self) -> dict[str, Tensor]:
        """Copies of the parameters under the keys of the released `lpips.LPIPS`, which loads them strictly."""
        return write_released_state(self.backbone, list(self.lin), self.shift, self.scale)

    def _check(self, x: Tensor, y: Tensor, normalize: bool) -> None:
        check_images(x, y, 0.0 if normalize else -1.0, 1.0, min_size=self.backbone.spec.min_size)
        parameter = next(self.backbone.parameters())
        if x.dtype != parameter.dtype or x.device != parameter.device:
            raise ValueError(
                f"images are {x.dtype} on {x.device}, the metric is {parameter.dtype} on {parameter.device}:"
                " move one to the other with .to()"
            )

    def unit_feature_maps(self, batches: tuple[Tensor, ...], normalize: bool = False) -> list[list[Tensor]]:
        """For each batch its feature maps, normalised over channels; all batches go through the backbone at once."""
        images = torch.cat(batches)
        if normalize:
            images = 2 * images - 1
        if self.version == "0.1":
            images = (images - self.shift) / self.scale
        maps = [_unit_normalise(feature_map) for feature_map in self.backbone(images)]
        return [list(group) for group in zip(*(m.chunk(len(batches)) for m in maps), strict=True)]

    def _distance(self, maps_x: list[Tensor], maps_y: list[Tensor], size: torch.Size) -> Tensor:
        total = torch.zeros((), dtype=maps_x[0].dtype, device=maps_x[0].device)
        for layer, (fx, fy) in enumerate(zip(maps_x, maps_y, strict=True)):
            squared = (fx - fy).square()
            if self.spatial:
                weight = self.lin[layer] if self.lin else squared.new_ones(squared.shape[1])
                layer_map = torch.einsum("nchw,c->nhw", squared, weight)[:, None]
                total = total + F.interpolate(layer_map, size=size, mode="bilinear", align_corners=False)
            else:
                per_channel = squared.mean(dim=(2, 3))
                total = total + (per_channel @ self.lin[layer] if self.lin else per_channel.sum(dim=1))
        return total


def _unit_normalise(feature_map: Tensor) -> Tensor:
    # vector_norm rather than sqrt(sum(f^2)): its gradient at zero is zero, not NaN.
    return feature_map / (torch.linalg.vector_norm(feature_map, dim=1, keepdim=True) + NORM_EPSILON)
