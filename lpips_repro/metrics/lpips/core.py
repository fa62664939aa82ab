"""What every LPIPS over one backbone and version shares: from images to the mean squared difference of each channel.

With f_l the feature maps of layer l, unit-normalized over channels, it is for channel c of the layer

    m_lc = 1 / (H_l W_l)  sum_hw  (f_l(x)_hwc - f_l(y)_hwc)^2

The product of all m with a head, a vector of one weight per channel, is the distance: see `model.py`.
"""

import contextlib
import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from lpips_repro.backbones import Backbone
from lpips_repro.devices import keep_freed_memory
from lpips_repro.metrics.inputs import broadcast, check_forms, check_ranges, is_autocast, read_extremes
from lpips_repro.metrics.lpips.channels import channel_means, place_distances, without_autocast
from lpips_repro.metrics.lpips.frozen import FrozenModule
from lpips_repro.metrics.lpips.mask import check_mask_form, check_mask_values, mask_values, scaled_mask
from lpips_repro.metrics.tracing import is_recorded, quiet_checks
from lpips_repro.precision import full_float32

# ImageNet's mean and standard deviation, carried over to inputs in [-1, 1].
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
CONSTANTS = {"shift": SHIFT, "scale": SCALE}
# On a CPU as many images at once as keep the largest feature map within its last cache. What is computed from it takes
# two to three times as much. With half as many again glibc gave the memory of each block back to the system, and a
# third of the time of squeeze went into getting it again.
CPU_CACHE_BYTES = 14e6


class Core(FrozenModule):
    """A frozen backbone in a version of the metric.

    Args:
        backbone: the backbone; version: of the metric, "0.0" (no input scaling) or "0.1".
        validate, persistent: as for `LPIPS`.
    """

    backbone: Backbone
    shift: Tensor
    scale: Tensor

    def __init__(self, backbone: Backbone, version: str, *, validate: bool = True, persistent: bool = True):
        super().__init__(persistent)
        keep_freed_memory()
        self.backbone, self.version, self.validate = backbone, version, validate
        self.map_density = backbone.map_density
        for name in CONSTANTS:
            self.register_buffer(name, None, persistent=False)
        self._set_constants(next(backbone.parameters()))
        self.register_load_state_dict_post_hook(_set_constants_after_load)  # type: ignore[no-untyped-call]  # in torch
        self.requires_grad_(False)
        self.to(memory_format=torch.channels_last)  # in which convolutions are faster
        self.eval()

    def check(
        self, images: Mapping[str, Tensor], normalize: bool, mask: Tensor | None = None, *, spatial: bool = False
    ) -> None:
        """Raise ValueError for images, or a mask, that the metric does not take; warn of a likely wrong range."""
        check_forms(images, self.backbone.spec.min_size)
        first = next(iter(images.values()))
        if first.device != self.shift.device or (first.dtype != self.shift.dtype and not is_autocast(first)):
            raise ValueError(
                f"images are {first.dtype} on {first.device}, the metric is {self.shift.dtype} on {self.shift.device}:"
                " move one to the other with .to()"
            )
        if mask is not None:
            check_mask_form(mask, first, spatial)
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
        factor, offset = (2.0, -1.0) if normalize else (1.0, 0.0)  # to [-1, 1]
        by_rows = [images.permute(0, 2, 3, 1).flatten(2) for images in batches]
        if self.backbone.spec.preprocess is None and self.version == "0.1":
            # In one pass, by rows of W x 3 numbers: many times as fast as a broadcast along an axis of 3.
            rows = (factor / self.scale, (offset - self.shift) / self.scale)
            factors, offsets = (values.flatten().repeat(batches[0].shape[3]) for values in rows)
            by_rows = [torch.addcmul(offsets, images, factors) for images in by_rows]
        elif normalize:
            by_rows = [factor * images + offset for images in by_rows]
        images: Tensor = torch.cat(by_rows).unflatten(2, (-1, 3))
        if self.backbone.spec.preprocess is not None:
            images = self.backbone.spec.preprocess(images.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return images.permute(0, 3, 1, 2)

    def means_of(self, images: Tensor, batches: int, mask: Tensor | None = None) -> Tensor:
        """The mean squared differences of the first of several batches from each of the others, in every channel.

        Args:
            images: the batches as one, as `preprocess` gives them; batches: how many.
            mask: weights of places (N, 1, H, W), for a weighted mean; None for the plain one.

        Returns:
            (batches - 1, N, channels of all layers), at least float32.
        """
        # Each layer is done with before the next.
        maps = self.backbone.each_map(images)
        return torch.cat([channel_means(feature_map, batches, mask) for feature_map in maps], dim=2)

    def maps_of(self, images: Tensor, batches: int, head: Tensor) -> Tensor:
        """What each layer adds to the distances at every place, (batches - 1, N, layers, 1, H, W).

        Args:
            images, batches: as for `means_of`.
            head: the weights of the channels of all layers (C,).
        """
        heads = head.split(self.backbone.spec.channels)
        maps = zip(self.backbone.each_map(images), heads, strict=True)
        return torch.stack([place_distances(m, batches, h, images.shape[2:]) for m, h in maps], dim=2)

    def in_blocks(
        self,
        images: Mapping[str, Tensor],
        normalize: bool,
        mask: Tensor | None,
        compute: Callable[[Tensor, int, Tensor | None], Tensor],
    ) -> Tensor:
        """What a function gives for images that were checked, on a CPU computed in blocks that fit the cache.

        Args:
            images: batches (N, 3, H, W) by name; normalize, mask: as for `LPIPS`.
            compute: as `means_of`; its result has the examples along dimension 1.
        """
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
            count = self.at_once(first, len(batches))
            blocks = list(zip(*(batch.split(count) for batch in batches), strict=True))
            masks = [None] * len(blocks) if mask is None else mask.split(count)
        guarded = first.is_cuda and not torch.compiler.is_compiling()
        done = []
        with full_float32() if guarded else contextlib.nullcontext():
            for block, weights in zip(blocks, masks, strict=True):
                with without_autocast(first):
                    prepared = self.preprocess(block, normalize)
                done.append(compute(prepared, len(batches), weights))
        return torch.cat(done, dim=1)

    def checked(
        self, images: Mapping[str, Tensor], normalize: bool, mask: Tensor | None = None, *, spatial: bool = False
    ) -> dict[str, Tensor]:
        """Images of one count, after all checks."""
        self.keep_frozen()
        with quiet_checks():
            images = broadcast(images)
            self.check(images, normalize, mask, spatial=spatial)
        return images

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
        most = max(1, int(CPU_CACHE_BYTES / per_example))
        blocks = -(-count // most)
        return -(-count // blocks)  # blocks of one size, but for the last

    def _apply(self, *args: object, **kwargs: object) -> "Core":
        """Convert or move all tensors; the constants are made again, not rounded twice or left without values."""
        super()._apply(*args, **kwargs)  # type: ignore[no-untyped-call]  # in torch
        self._set_constants(self.shift)
        return self

    def _set_constants(self, like: Tensor) -> None:
        for name, values in CONSTANTS.items():
            # Rounded to float32 first, as the released package has them in float64, too.
            exact = torch.tensor(values, dtype=torch.float32, device=like.device)
            setattr(self, name, exact.to(like.dtype).view(1, 3, 1, 1))


def _set_constants_after_load(core: Core, incompatible: object) -> None:
    # With assign=True it has taken tensors of another dtype or device.
    core._set_constants(next(core.backbone.parameters()).detach())
