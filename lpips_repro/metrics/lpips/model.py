"""LPIPS: Zhang, Isola, Efros, Shechtman, Wang, "The Unreasonable Effectiveness of Deep Features as a Perceptual
Metric", CVPR 2018 (arXiv 1801.03924), Equation 1:

    d(x, y) = sum_l  1 / (H_l W_l)  sum_hw  || w_l * (f_l(x)_hw - f_l(y)_hw) ||^2

f_l are the feature maps of layer l, unit-normalized over channels. As in the released code, the stored lin weights are
the squares of the paper's w. The metric "off the shelf" has weights of 1.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lpips_repro.backbones import BACKBONES, Backbone, check_backbone
from lpips_repro.errors import UserError, check_choice
from lpips_repro.metrics.inputs import is_autocast
from lpips_repro.metrics.lpips.arguments import refuse_arguments
from lpips_repro.metrics.lpips.channels import weighted_sum
from lpips_repro.metrics.lpips.core import SCALE, SHIFT, Core
from lpips_repro.metrics.lpips.optimized import OptimizedLPIPS
from lpips_repro.metrics.lpips.released import own_state, read_lin_state, read_released_state, write_released_state
from lpips_repro.metrics.tracing import is_recorded
from lpips_repro.weights.checkpoints import without_wrappers
from lpips_repro.weights.imagenet import imagenet_state
from lpips_repro.weights.official_lin import official_lin_state
from lpips_repro.weights.state_dicts import read_state

VARIANTS = ("off_the_shelf", "lin", "tune", "scratch")
VERSIONS = ("0.0", "0.1")


class LPIPS(Core):
    """The perceptual distance of two batches of images, frozen and in eval mode.

    It stays frozen inside another module: see `FrozenModule`. Under autocast it takes images of any floating dtype,
    runs the backbone under autocast, and returns float32. On a GPU it computes float32 in full precision, except inside
    `lpips_repro.precision.tf32(True)`. PyTorch's own switches apply to the gradient, which is computed later, and to
    the results of torch.compile and torch.export.

    Args:
        net: backbone: "alex", "vgg", "squeeze", another key of `lpips_repro.backbones.BACKBONES`, or "timm/NAME".
        variant: "lin" (calibrated weights), "off_the_shelf" (all weights 1), or "tune" or "scratch" (the backbone is
            trained too: `weights` and `lin_weights` are required).
        version: "0.1", or "0.0", the first release, which did not scale its input (a bug; the paper's figures most
            likely come from it). A network with its own preprocessing has no version 0.0.
        weights: backbone parameters: None for ImageNet weights (found locally or downloaded), a file, or a state dict
            with torchvision's keys.
        spatial: return a map of distances instead of its mean over the image.
        lin_weights: calibrated weights: None for the official ones of variant "lin" (found locally or downloaded), a
            file, or a state dict with the released keys `linK.model.1.weight`.
        validate: check the values of images in each call, with one read of the device. The check is skipped if values
            cannot be read: under torch.compile, torch.export, torch.jit.trace and torch.func.vmap, and during the
            capture of a CUDA graph. Types and shapes are always checked.
        persistent: whether it is part of the `state_dict` of a module that contains it.

    Raises:
        UserError (a ValueError): if net, variant or version is unknown; if weights are missing, unexpected, of a wrong
            shape, not finite or (lin weights) negative. The message names the key.
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
        validate: bool = True,
        persistent: bool = True,
        **unknown: Any,
    ):
        refuse_arguments("LPIPS", unknown)
        if not isinstance(net, str):
            raise UserError(f'net={net!r}: expected the name of a network: LPIPS(net="alex")')
        version = str(version)  # accepts the number 0.1
        check_backbone(net)
        check_choice("variant", variant, VARIANTS)
        check_choice("version", version, versions_of(net))
        if lin_weights is not None and variant == "off_the_shelf":
            raise UserError("lin_weights given with variant 'off_the_shelf': only the other variants have them")
        if variant in ("tune", "scratch") and (weights is None or lin_weights is None):
            raise UserError(f"variant {variant!r} needs weights and lin_weights: none are published: see `make train`")
        state = without_wrappers(weights) if isinstance(weights, Mapping) else imagenet_state(net, weights)
        super().__init__(Backbone(net, state), version, validate=validate, persistent=persistent)
        self.variant = variant
        self.spatial = spatial
        self.lin = nn.ParameterList()
        if variant != "off_the_shelf":
            if lin_weights is None:
                lin_weights = official_lin_state(net, version)
            elif not isinstance(lin_weights, Mapping):
                lin_weights = read_state(Path(lin_weights))
            lin = read_lin_state(without_wrappers(lin_weights), self.backbone.spec.channels)
            like = next(self.backbone.parameters())
            self.lin.extend(nn.Parameter(weight.to(like), requires_grad=False) for weight in lin)
        self.eval()

    @property
    def head(self) -> Tensor:
        """The weights of all layers' channels, (C,): lin weights, with 0 for negative ones, or ones."""
        if not len(self.lin):
            return self.shift.new_ones(sum(self.backbone.spec.channels))
        lin = torch.cat(tuple(self.lin))
        # As clamp(min=0), but at 0, where many official weights are, with the gradient of the released package.
        return torch.where(lin < 0, 0.0, lin)

    def forward(
        self,
        x: Tensor,
        y: Tensor,
        normalize: bool = False,
        *,
        per_layer: bool = False,
        mask: Tensor | None = None,
        **unknown: Any,
    ) -> Tensor:
        """The distances between images x and y.

        Args:
            x, y: RGB images (N, 3, H, W), in [-1, 1], or in [0, 1] with `normalize`. A batch of one image is broadcast.
            normalize: the inputs are in [0, 1].
            per_layer: return the contribution of each layer.
            mask: weights of pixels (N, 1, H, W), or (1, 1, H, W) for all images, at least 0 and not all 0 (if values
                are not checked, the result is NaN). In each layer the distance is a weighted mean over places. The
                weight of a place is the mean over its pixels. The features of a place depend on pixels around it, so
                that pixels of weight 0 next to pixels of a larger weight still count.

        Returns:
            N distances, or maps (N, 1, H, W) with `spatial`. With `per_layer`, (layers, N) or (layers, N, 1, H, W),
            whose sum over layers is the distance.

        Raises:
            ValueError: if a type, dtype, shape, size or range is wrong. The message says what was given and expected.
        """
        refuse_arguments("forward", unknown)
        return self._distances({"first": x, "second": y}, normalize, per_layer, mask)[0]

    def triplet(
        self,
        ref: Tensor,
        p0: Tensor,
        p1: Tensor,
        normalize: bool = False,
        *,
        per_layer: bool = False,
        mask: Tensor | None = None,
        **unknown: Any,
    ) -> tuple[Tensor, Tensor]:
        """The distances (ref, p0) and (ref, p1), with one pass over the reference. Arguments are those of `forward`."""
        refuse_arguments("forward", unknown)
        d0, d1 = self._distances({"ref": ref, "p0": p0, "p1": p1}, normalize, per_layer, mask)
        return d0, d1

    @classmethod
    def from_official(
        cls, net: str, version: str, state_dict: Mapping[str, Tensor], variant: str | None = None, **settings: bool
    ) -> "LPIPS":
        """The metric from a state dict of the released `lpips.LPIPS`, such as `weights.pth` of a training run.

        Args:
            net, version: network and version of the released metric.
            state_dict: keys `net.sliceK.N.*`, `scaling_layer.*` and, unless it is off the shelf, `linK.model.1.weight`
                (with or without the duplicates `lins.*`, and with or without the prefix `module.`).
            variant: the variant it was trained as; None for "lin", or "off_the_shelf" if there are no lin weights.
            settings: spatial, validate and persistent, as for `LPIPS`.

        Raises:
            UserError: if a value is missing, unexpected, of a wrong shape, not finite, negative, or differs from its
                duplicate or from the known scaling. The message names the key.
        """
        weights, lin_weights = read_released_state(net, without_wrappers(state_dict), SHIFT, SCALE)
        variant = variant or ("lin" if lin_weights else "off_the_shelf")
        # An empty dict raises an error for a variant that needs lin weights. None would mean the official ones.
        absent = variant == "off_the_shelf" and not lin_weights
        return cls(net, variant, version, weights=weights, lin_weights=None if absent else lin_weights, **settings)

    def optimized(self, dtype: torch.dtype = torch.float32, *, compiled: bool = True) -> OptimizedLPIPS:
        """A frozen copy with the same `forward` and `triplet`, for evaluation: see `OptimizedLPIPS`."""
        return OptimizedLPIPS(self, self.head, dtype, compiled=compiled, spatial=self.spatial)

    def official_state_dict(self) -> dict[str, Tensor]:
        """Copies of the parameters under the keys of the released `lpips.LPIPS`, which can load them strictly."""
        lin = [weight.clamp(min=0) for weight in self.lin]  # as in `head`
        return write_released_state(self.backbone, lin, self.shift, self.scale)

    def accepted_state(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A state dict of this metric or of the released `lpips.LPIPS`, checked as in the constructor.

        Raises:
            UserError: if a value has a wrong shape, is not finite or (lin weights) negative. The message names the key.
        """
        return own_state(self.backbone, list(self.lin), state, SHIFT, SCALE)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """As in `FrozenModule`. Lin weights that an optimizer made negative are saved as 0, as in `head`."""
        state, prefix = super().state_dict(*args, **kwargs), kwargs.get("prefix", "")
        for layer in range(len(self.lin)):
            weight = state.get(f"{prefix}lin.{layer}")
            if weight is not None and not kwargs.get("keep_vars") and not is_recorded(weight) and (weight < 0).any():
                state[f"{prefix}lin.{layer}"] = weight.clamp(min=0)
        return state

    def channel_means(self, ref: Tensor, *others: Tensor, normalize: bool = False) -> Tensor:
        """The mean squared differences between `ref` and each other batch, per channel of each layer.

        The product with `head` is the distance. Metrics that differ only in their lin weights can share these means.

        Args:
            ref, others, normalize: as for `forward`.

        Returns:
            (len(others), N, channels of all layers), at least float32.
        """
        images = self.checked({"ref": ref, **{f"p{k}": other for k, other in enumerate(others)}}, normalize)
        return self.in_blocks(images, normalize, None, self.means_of)

    def _distances(
        self, images: Mapping[str, Tensor], normalize: bool, per_layer: bool, mask: Tensor | None
    ) -> tuple[Tensor, ...]:
        """The distances between the first batch and each other one (Equation 1)."""
        images = self.checked(images, normalize, mask, spatial=self.spatial)
        first, channels = next(iter(images.values())), self.backbone.spec.channels
        dtype = torch.promote_types(self.shift.dtype, torch.float32) if is_autocast(first) else first.dtype
        # Each result is a tensor of its own, not a view: programs that train with the metric change it in place.
        if self.spatial:
            head = self.head
            by_layer = self.in_blocks(images, normalize, None, lambda block, count, _: self.maps_of(block, count, head))
            found = [maps.movedim(1, 0) for maps in by_layer.unbind()]
            found = found if per_layer else [maps.sum(dim=0) for maps in found]
        else:
            means = self.in_blocks(images, normalize, mask, self.means_of)
            head = self.head.to(means.dtype)
            if per_layer:
                layers = [zip(m.split(channels, dim=1), head.split(channels), strict=True) for m in means.unbind()]
                found = [torch.stack([weighted_sum(*pair) for pair in pairs]) for pairs in layers]
            else:
                found = [weighted_sum(m, head) for m in means.unbind()]
        return tuple(distance.to(dtype) for distance in found)


def versions_of(net: str) -> tuple[str, ...]:
    """The versions of the metric that a network can have."""
    return VERSIONS if BACKBONES[net].preprocess is None else ("0.1",)
