"""LPIPS: Zhang, Isola, Efros, Shechtman, Wang, "The Unreasonable Effectiveness of Deep Features as a Perceptual
Metric", CVPR 2018 (arXiv 1801.03924), Equation 1:

    d(x, y) = sum_l  1 / (H_l W_l)  sum_hw  || w_l * (f_l(x)_hw - f_l(y)_hw) ||^2

with f_l the feature maps of layer l, unit-normalised over channels. As in the released code, the lin weights kept
here are the squares of the paper's w; all ones is the metric "off the shelf".
"""

import math
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lpips_repro.backbones import BACKBONES, Backbone, check_backbone
from lpips_repro.backbones.weights import imagenet_state, read_state
from lpips_repro.errors import UserError, check_choice
from lpips_repro.metrics.inputs import at_least_float32, check_images
from lpips_repro.metrics.lin_weights import official_lin_state
from lpips_repro.metrics.optimized import OptimizedLPIPS
from lpips_repro.metrics.released import read_lin_state, read_released_state, write_released_state

VARIANTS = ("off_the_shelf", "lin", "tune", "scratch")
VERSIONS = ("0.0", "0.1")

# ImageNet's mean and standard deviation, carried over to inputs in [-1, 1].
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)

# Added to the norm of a feature vector, as in the released code.
NORM_EPSILON = 1e-10

# On a CPU as many images at once as keep the largest feature map within its last cache.
CPU_CACHE_BYTES = 20e6


class LPIPS(nn.Module):
    """The perceptual distance of two batches of images, frozen and in eval mode.

    Args:
        net: backbone: "alex", "vgg", "squeeze", another key of `lpips_repro.backbones.BACKBONES`, or "timm/NAME".
        variant: "lin" (calibrated weights), "off_the_shelf" (all weights 1), or "tune" or "scratch" (the backbone is
            trained as well: `weights` and `lin_weights` must be given).
        version: "0.1", or "0.0", the first release, which did not scale its input (a bug, kept for the record; the
            paper's own figures most likely come from it). A network with a preprocessing of its own has no 0.0.
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
        check_backbone(net)
        check_choice("variant", variant, VARIANTS)
        check_choice("version", version, versions_of(net))
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
        self.to(memory_format=torch.channels_last)  # in which convolutions are faster
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
        return self._distances((x, y), normalize)[0]

    def triplet(self, ref: Tensor, p0: Tensor, p1: Tensor, normalize: bool = False) -> tuple[Tensor, Tensor]:
        """The distances (ref, p0) and (ref, p1), with one pass over the reference; arguments as for `forward`."""
        self._check(ref, p0, normalize)
        self._check(ref, p1, normalize)
        return self._distances((ref, p0, p1), normalize)

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

    def optimized(self, dtype: torch.dtype = torch.float32, *, compiled: bool = True) -> OptimizedLPIPS:
        """A frozen copy with the same `forward` and `triplet`, for evaluation: see `OptimizedLPIPS`."""
        return OptimizedLPIPS(self, dtype, compiled=compiled)

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

    def preprocess(self, batches: tuple[Tensor, ...], normalize: bool = False) -> Tensor:
        """Several batches of images as one, as the backbone wants it: scaled, channels last, in its dtype.

        Args:
            batches: images (N, 3, H, W) each, in [-1, 1], or in [0, 1] with `normalize`.
        """
        images = torch.cat([images.permute(0, 2, 3, 1) for images in batches]).contiguous()
        factor, offset = (2.0, -1.0) if normalize else (1.0, 0.0)  # to [-1, 1]
        if self.backbone.spec.preprocess is None and self.version == "0.1":
            # In one pass, by rows of W x 3 numbers: many times as fast as a broadcast along an axis of 3.
            rows = (factor / self.scale, (offset - self.shift) / self.scale)
            factor, offset = (values.flatten().repeat(images.shape[2]) for values in rows)
            images = torch.addcmul(offset, images.flatten(2), factor).view_as(images)
        elif normalize:
            images = factor * images + offset
        if self.backbone.spec.preprocess is not None:
            images = self.backbone.spec.preprocess(images.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return images.permute(0, 3, 1, 2).to(next(self.backbone.parameters()).dtype)

    def unit_feature_maps(self, batches: tuple[Tensor, ...], normalize: bool = False) -> list[list[Tensor]]:
        """For each batch its feature maps, normalised over channels; all batches go through the backbone at once."""
        maps = [_unit_normalise(feature_map) for feature_map in self.backbone(self.preprocess(batches, normalize))]
        return [list(group) for group in zip(*(m.chunk(len(batches)) for m in maps), strict=True)]

    def at_once(self, ref: Tensor, batches: int) -> int:
        """How many examples to work on at a time: on a CPU about as many as its last cache has room for the maps of.

        Args:
            ref: their images (N, 3, H, W).
            batches: images in an example, reference included.
        """
        count = len(ref)
        if ref.device.type != "cpu":
            return count
        parameter = next(self.backbone.parameters())
        per_example = batches * self.backbone.map_density * math.prod(ref.shape[2:]) * parameter.element_size()
        most = min(count, max(1, int(CPU_CACHE_BYTES / per_example)))
        # Of the sizes near that the one that leaves the last block fullest.
        return min(range(most, most // 2, -1), key=lambda size: -(-count // size) * size)

    def preprocessed_distances(self, images: Tensor, batches: int) -> Tensor:
        """The distances of the first of several batches from each of the others, all of them worked on at once.

        Args:
            images: the batches as one, as `preprocess` gives them; batches: how many.

        Returns:
            (number of others, N), or (number of others, N, 1, H, W) with `spatial`, at least float32.
        """
        others = batches - 1
        total = 0
        for layer, feature_map in enumerate(self.backbone.each_map(images)):
            # Each layer is done with before the next, as vectors of channels, the way they are in memory.
            vectors = _unit_normalise(feature_map).permute(0, 2, 3, 1)
            _, height, width, channels = vectors.shape
            ref, *rest = vectors.reshape(1 + others, -1, channels)
            weight = self.lin[layer].to(vectors.dtype) if self.lin else vectors.new_ones(channels)
            by_place = torch.stack([F.mse_loss(ref, other, reduction="none") @ weight for other in rest])
            if self.spatial:
                maps = by_place.view(-1, 1, height, width)
                maps = F.interpolate(maps, size=images.shape[2:], mode="bilinear", align_corners=False)
                total = total + maps.unflatten(0, (others, -1))
            else:
                total = total + by_place.view(others, -1, height * width).mean(dim=2)
        return total

    def _distances(self, batches: tuple[Tensor, ...], normalize: bool) -> tuple[Tensor, ...]:
        """The distances of the first batch from each of the others."""
        count = self.at_once(batches[0], len(batches))
        blocks = zip(*(images.split(count) for images in batches), strict=True)
        done = [self.preprocessed_distances(self.preprocess(block, normalize), len(block)) for block in blocks]
        # Each by itself, not as a view of all: those who train with the metric change it in place.
        return tuple(torch.cat(parts).to(batches[0].dtype) for parts in zip(*done, strict=True))


def versions_of(net: str) -> tuple[str, ...]:
    """The versions of the metric that there can be of a network."""
    return VERSIONS if BACKBONES[net].preprocess is None else ("0.1",)


def _unit_normalise(feature_map: Tensor) -> Tensor:
    # vector_norm rather than sqrt(sum(f^2)): its gradient at zero is zero, not NaN.
    feature_map = at_least_float32(feature_map)
    norm = torch.linalg.vector_norm(feature_map, dim=1, keepdim=True) + NORM_EPSILON
    return feature_map * norm.reciprocal()  # one division a place, not one a channel
