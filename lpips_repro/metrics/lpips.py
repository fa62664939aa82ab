"""LPIPS: Zhang, Isola, Efros, Shechtman, Wang, "The Unreasonable Effectiveness of Deep Features as a Perceptual
Metric", CVPR 2018 (arXiv 1801.03924), Equation 1:

    d(x, y) = sum_l  1 / (H_l W_l)  sum_hw  || w_l * (f_l(x)_hw - f_l(y)_hw) ||^2

with f_l the feature maps of layer l, unit-normalized over channels. As in the released code, the lin weights kept
here are the squares of the paper's w; all ones is the metric "off the shelf".
"""

import contextlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lpips_repro.backbones import BACKBONES, Backbone, check_backbone
from lpips_repro.backbones.checkpoints import without_wrappers
from lpips_repro.backbones.weights import imagenet_state, read_state
from lpips_repro.errors import UserError, check_choice
from lpips_repro.metrics.arguments import refuse_arguments
from lpips_repro.metrics.core import NORM_EPSILON as NORM_EPSILON
from lpips_repro.metrics.core import layer_distance_maps, layer_distances, unit_normalize, without_autocast
from lpips_repro.metrics.frozen import FrozenModule
from lpips_repro.metrics.inputs import broadcast, check_forms, check_ranges, is_autocast, read_extremes
from lpips_repro.metrics.lin_weights import official_lin_state
from lpips_repro.metrics.mask import check_mask_form, check_mask_values, mask_values, scaled_mask
from lpips_repro.metrics.optimized import OptimizedLPIPS
from lpips_repro.metrics.released import own_state, read_lin_state, read_released_state, write_released_state
from lpips_repro.metrics.tracing import is_recorded, quiet_checks
from lpips_repro.precision import full_float32

VARIANTS = ("off_the_shelf", "lin", "tune", "scratch")
VERSIONS = ("0.0", "0.1")

# ImageNet's mean and standard deviation, carried over to inputs in [-1, 1].
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)

CONSTANTS = {"shift": SHIFT, "scale": SCALE}

# On a CPU as many images at once as keep the largest feature map within its last cache.
CPU_CACHE_BYTES = 20e6


class LPIPS(FrozenModule):
    """The perceptual distance of two batches of images, frozen and in eval mode.

    It stays so inside another module: see `FrozenModule`. Under autocast it takes images of any floating dtype, runs
    the backbone as autocast says, and returns float32. On a GPU it computes float32 in full precision, except inside
    `lpips_repro.precision.tf32(True)`. PyTorch's own switches decide for the gradient, which it computes later, and for
    what torch.compile and torch.export make of the metric.

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
        validate: check the values of images in each call. The check reads the device once. It is skipped if the
            values cannot be read: under torch.compile, torch.export, torch.jit.trace and torch.func.vmap, and during
            the capture of a CUDA graph. Types and shapes are always checked.
        persistent: whether it is part of the `state_dict` of a module that contains it.

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
        validate: bool = True,
        persistent: bool = True,
        **unknown: Any,
    ):
        refuse_arguments("LPIPS", unknown)
        if not isinstance(net, str):
            raise UserError(f'net={net!r}: expected the name of a network: LPIPS(net="alex")')
        version = str(version)  # 0.1 is meant as "0.1"
        super().__init__(persistent)
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
        self.validate = validate
        state = without_wrappers(weights) if isinstance(weights, Mapping) else imagenet_state(net, weights)
        self.backbone = Backbone(net, state)
        self.map_density = self.backbone.map_density
        like = next(self.backbone.parameters())
        self.lin = nn.ParameterList()
        if variant != "off_the_shelf":
            if lin_weights is None:
                lin_weights = official_lin_state(net, version)
            elif not isinstance(lin_weights, Mapping):
                lin_weights = read_state(Path(lin_weights))
            lin = read_lin_state(without_wrappers(lin_weights), self.backbone.spec.channels)
            self.lin.extend(weight.to(like) for weight in lin)
        for name in CONSTANTS:
            self.register_buffer(name, None, persistent=False)
        self._set_constants(like)
        self.register_load_state_dict_post_hook(_set_constants_after_load)
        self.requires_grad_(False)
        self.to(memory_format=torch.channels_last)  # in which convolutions are faster
        self.eval()

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
            x, y: RGB images (N, 3, H, W), in [-1, 1], or in [0, 1] with `normalize`. One image may stand for N.
            normalize: the inputs are in [0, 1].
            per_layer: return what each layer adds to the distances.
            mask: weights of places (N, 1, H, W), or (1, 1, H, W) for all images, at least 0, and not all 0 (the result
                is NaN then if values are not checked). In each layer the distance is the weighted mean over its
                places. The weight of a place is the mean over the pixels under it. The features of a place depend on
                pixels around it, so pixels of weight 0 near others of a larger weight still count.

        Returns:
            N distances, or N x 1 x H x W of them with `spatial`; with `per_layer` as many for each layer, (layers, N)
            or (layers, N, 1, H, W), whose sum they are.

        Raises:
            ValueError: for a wrong type, dtype, shape, size or range, saying what came and what is wanted.
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
        """The distances (ref, p0) and (ref, p1), with one pass over the reference; arguments as for `forward`."""
        refuse_arguments("forward", unknown)
        return self._distances({"ref": ref, "p0": p0, "p1": p1}, normalize, per_layer, mask)

    @classmethod
    def from_official(
        cls, net: str, version: str, state_dict: Mapping[str, Tensor], variant: str | None = None, **settings: bool
    ) -> "LPIPS":
        """The metric that a state dict of the released `lpips.LPIPS` holds, such as `weights.pth` of a training run.

        Args:
            net, version: what the released metric was made with.
            state_dict: `net.sliceK.N.*`, `scaling_layer.*` and, unless it is off the shelf, `linK.model.1.weight`
                (with or without the duplicates `lins.*`, and with or without `module.` before all keys).
            variant: what it was trained as; None for "lin", or "off_the_shelf" where there are no lin weights.
            settings: spatial, validate and persistent, as for `LPIPS`.

        Raises:
            UserError: naming the key that is missing, unexpected, wrong-shaped, not finite, negative, or contradicts
                its duplicate or the known scaling.
        """
        weights, lin_weights = read_released_state(net, without_wrappers(state_dict), SHIFT, SCALE)
        variant = variant or ("lin" if lin_weights else "off_the_shelf")
        # Empty ones of a variant that needs them are refused, where None would stand for the official ones.
        absent = variant == "off_the_shelf" and not lin_weights
        return cls(net, variant, version, weights=weights, lin_weights=None if absent else lin_weights, **settings)

    def optimized(self, dtype: torch.dtype = torch.float32, *, compiled: bool = True) -> OptimizedLPIPS:
        """A frozen copy with the same `forward` and `triplet`, for evaluation: see `OptimizedLPIPS`."""
        return OptimizedLPIPS(self, dtype, compiled=compiled)

    def official_state_dict(self) -> dict[str, Tensor]:
        """Copies of the parameters under the keys of the released `lpips.LPIPS`, which loads them strictly."""
        lin = [weight.clamp(min=0) for weight in self.lin]  # what they count as
        return write_released_state(self.backbone, lin, self.shift, self.scale)

    def accepted_state(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A state dict of this metric or of the released `lpips.LPIPS`, checked as in the constructor.

        Raises:
            UserError: for a value that is wrong-shaped, not finite or, among lin weights, negative, naming the key.
        """
        return own_state(self.backbone, list(self.lin), state, SHIFT, SCALE)

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As of `FrozenModule`; lin weights that an optimizer made negative are 0, which they count as."""
        state, prefix = super().state_dict(*args, **kwargs), kwargs.get("prefix", "")
        for layer in range(len(self.lin)):
            weight = state.get(f"{prefix}lin.{layer}")
            if weight is not None and not kwargs.get("keep_vars") and not is_recorded(weight) and (weight < 0).any():
                state[f"{prefix}lin.{layer}"] = weight.clamp(min=0)
        return state

    def _apply(self, *args: Any, **kwargs: Any) -> "LPIPS":
        """Convert or move all tensors; the constants are made again, not rounded twice or left without values."""
        super()._apply(*args, **kwargs)
        self._set_constants(self.shift)
        return self

    def _set_constants(self, like: Tensor) -> None:
        for name, values in CONSTANTS.items():
            # Rounded to float32 first, as the released package has them in float64, too.
            exact = torch.tensor(values, dtype=torch.float32, device=like.device)
            setattr(self, name, exact.to(like.dtype).view(1, 3, 1, 1))

    def check(self, images: Mapping[str, Tensor], normalize: bool, mask: Tensor | None = None) -> None:
        """Raise ValueError for images, or a mask, that the metric does not take; warn of a likely wrong range."""
        check_forms(images, self.backbone.spec.min_size)
        first = next(iter(images.values()))
        if first.device != self.shift.device or (first.dtype != self.shift.dtype and not is_autocast(first)):
            raise ValueError(
                f"images are {first.dtype} on {first.device}, the metric is {self.shift.dtype} on {self.shift.device}:"
                " move one to the other with .to()"
            )
        if mask is not None:
            check_mask_form(mask, first, self.spatial)
        if not self.validate:
            return
        extremes = read_extremes({**images, **mask_values(mask)})
        check_ranges(images, extremes, 0.0 if normalize else -1.0, 1.0)
        check_mask_values(extremes)
        if extremes and not normalize and min(extremes[name][0] for name in images) >= 0:
            self.warn_once(
                "no image has a negative value: the metric takes images in [-1, 1]: if yours are in [0, 1], pass"
                " normalize=True"
            )

    def preprocess(self, batches: tuple[Tensor, ...], normalize: bool = False) -> Tensor:
        """Several batches of images as one, as the backbone wants it: scaled, channels last, in the metric's dtype.

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
        return images.permute(0, 3, 1, 2)

    def unit_feature_maps(self, batches: tuple[Tensor, ...], normalize: bool = False) -> list[list[Tensor]]:
        """For each batch its feature maps, normalized over channels; all batches go through the backbone at once."""
        maps = [unit_normalize(feature_map) for feature_map in self.backbone(self.preprocess(batches, normalize))]
        return [list(group) for group in zip(*(m.chunk(len(batches)) for m in maps), strict=True)]

    def at_once(self, ref: Tensor, batches: int, dtype: torch.dtype | None = None) -> int:
        """How many examples to work on at a time: on a CPU about as many as its last cache has room for the maps of.

        Args:
            ref: their images (N, 3, H, W).
            batches: images in an example, reference included.
            dtype: of the maps; by default that of the images.
        """
        count = len(ref)
        if ref.device.type != "cpu":
            return count
        per_example = batches * self.map_density * math.prod(ref.shape[2:]) * (dtype or ref.dtype).itemsize
        most = min(count, max(1, int(CPU_CACHE_BYTES / per_example)))
        # Of the sizes near that the one that leaves the last block fullest.
        return min(range(most, most // 2, -1), key=lambda size: -(-count // size) * size)

    def distances_by_layer(self, images: Tensor, batches: int, mask: Tensor | None = None) -> Iterator[Tensor]:
        """What each layer adds to the distances of the first of several batches from each of the others.

        Args:
            images: the batches as one, as `preprocess` gives them; batches: how many.
            mask: as for `forward`.

        Yields:
            (number of others, N), or (number of others, N, 1, H, W) with `spatial`, at least float32.
        """
        # Each layer is done with before the next.
        for layer, feature_map in enumerate(self.backbone.each_map(images)):
            lin = self.lin[layer] if len(self.lin) else None
            if self.spatial:
                yield layer_distance_maps(feature_map, batches, lin, images.shape[2:])
            else:
                yield layer_distances(feature_map, batches, lin, mask)

    def preprocessed_distances(self, images: Tensor, batches: int) -> Tensor:
        """The distances that `distances_by_layer` gives the parts of."""
        return sum(self.distances_by_layer(images, batches))

    def _distances(
        self, images: Mapping[str, Tensor], normalize: bool, per_layer: bool, mask: Tensor | None
    ) -> tuple[Tensor, ...]:
        """The distances of the first batch from each of the others."""
        self.keep_frozen()
        with quiet_checks():
            images = broadcast(images)
            self.check(images, normalize, mask)
        batches = tuple(images.values())
        first, dtype = batches[0], batches[0].dtype
        if is_autocast(first):
            dtype = torch.promote_types(self.shift.dtype, torch.float32)
            batches = tuple(batch.to(dtype) for batch in batches)
        if mask is not None:
            mask = scaled_mask(mask, first.shape[0], torch.promote_types(dtype, torch.float32))
        if is_recorded(first):  # whose count is a symbol, or another one later
            blocks, masks = [batches], [mask]
        else:
            count = self.at_once(batches[0], len(batches))
            blocks = list(zip(*(batch.split(count) for batch in batches), strict=True))
            masks = [None] * len(blocks) if mask is None else mask.split(count)
        guarded = first.is_cuda and not torch.compiler.is_compiling()
        with full_float32() if guarded else contextlib.nullcontext():
            done = [self._block(*work, normalize, per_layer) for work in zip(blocks, masks, strict=True)]
        # Each is a tensor of its own, not a view of all: those who train with the metric change it in place.
        return tuple(torch.cat(parts, int(per_layer)).to(dtype) for parts in zip(*done, strict=True))

    def _block(
        self, batches: tuple[Tensor, ...], mask: Tensor | None, normalize: bool, per_layer: bool
    ) -> tuple[Tensor, ...]:
        """The same of some examples; with `per_layer` layers come first."""
        with without_autocast(batches[0]):
            images = self.preprocess(batches, normalize)
        parts = self.distances_by_layer(images, len(batches), mask)
        return (torch.stack(list(parts), dim=1) if per_layer else sum(parts)).unbind()


def _set_constants_after_load(metric: LPIPS, incompatible: object) -> None:
    # With assign=True the metric has taken tensors of another dtype or device.
    metric._set_constants(next(metric.backbone.parameters()).detach())


def versions_of(net: str) -> tuple[str, ...]:
    """The versions of the metric that there can be of a network."""
    return VERSIONS if BACKBONES[net].preprocess is None else ("0.1",)
