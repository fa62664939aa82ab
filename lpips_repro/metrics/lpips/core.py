"""The core of LPIPS with one backbone and version: from images to the mean squared difference of each channel.

For channel c of layer l, whose feature maps f_l are unit-normalized over channels, it is

    m_lc = 1 / (H_l W_l)  sum_hw  (f_l(x)_hwc - f_l(y)_hwc)^2

The distance is the product of all m and a head, a vector of one weight per channel: see `model.py`.
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

# ImageNet's mean and standard deviation, for inputs in [-1, 1].
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
CONSTANTS = {"shift": SHIFT, "scale": SCALE}
# On a CPU, a block has as many images as keep the largest feature map within this many bytes: for one thread, and for
# several that compute it together. That is less than the last cache, since what is computed from the map takes two to
# three times as much, and workers with one thread each share the cache. With larger blocks, glibc returns the memory of
# each block to the system, and squeeze spends a third of its time on getting it back.
CPU_BLOCK_BYTES = (14e6, 21e6)


class Core(FrozenModule):
    """A frozen backbone with the input scaling of a version of the metric.

    Args:
        backbone: the backbone; version: version of the metric, "0.0" (no input scaling) or "0.1".
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
        self.to(memory_format=torch.channels_last)  # convolutions are faster in it
        self.eval()

    def check(
        self, images: Mapping[str, Tensor], normalize: bool, mask: Tensor | None = None, *, spatial: bool = False
    ) -> None:
        """Raise ValueError if the metric does not accept the images or the mask; warn of a probably wrong range."""
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
        """Several batches of images as one, as the backbone takes it: scaled, channels last, in the metric's dtype.

        Args:
            batches: batches of images (N, 3, H, W), in [-1, 1], or in [0, 1] with `normalize`.
        """
        factor, offset = (2.0, -1.0) if normalize else (1.0, 0.0)  # to [-1, 1]
        by_rows = [images.permute(0, 2, 3, 1).flatten(2) for images in batches]
        if self.backbone.spec.preprocess is None and self.version == "0.1":
            # In one pass over rows of W x 3 numbers: many times faster than a broadcast along an axis of size 3.
            rows = (factor / self.scale, (offset - self.shift) / self.scale)
            factors, offsets = (values.flatten().repeat(batches[0].shape[3]) for values in rows)
            if is_recorded(batches[0]):  # PyTorch 2.6 cannot export addcmul for symbolic sizes
                by_rows = [images * factors + offsets for images in by_rows]
            else:
                by_rows = [torch.addcmul(offsets, images, factors) for images in by_rows]
        elif normalize:
            by_rows = [factor * images + offset for images in by_rows]
        images: Tensor = torch.cat(by_rows).unflatten(2, (-1, 3))
        if self.backbone.spec.preprocess is not None:
            images = self.backbone.spec.preprocess(images.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return images.permute(0, 3, 1, 2)

    def means_of(self, images: Tensor, batches: int, mask: Tensor | None = None) -> Tensor:
        """The mean squared differences between the first batch and each other one, per channel.

        Args:
            images: the result of `preprocess`; batches: the number of batches in it.
            mask: weights of pixels (N, 1, H, W) for a weighted mean, or None.

        Returns:
            (batches - 1, N, channels of all layers), at least float32.
        """
        # The differences of a layer are computed before the next layer runs, which saves memory.
        maps, spent = enumerate(self.backbone.each_map(images)), self.backbone.spent
        return torch.cat([channel_means(one, batches, mask, overwrite=number in spent) for number, one in maps], dim=2)

    def maps_of(self, images: Tensor, batches: int, head: Tensor) -> Tensor:
        """The contribution of each layer to the distance at each place, (batches - 1, N, layers, 1, H, W).

        Args:
            images, batches: as for `means_of`.
            head: the weights of all layers' channels (C,).
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
        """The result of a function for checked images, computed on a CPU in blocks that fit the cache.

        Args:
            images: batches (N, 3, H, W) by name; normalize, mask: as for `LPIPS.forward`.
            compute: a function with the arguments of `means_of`, whose result has the examples along dimension 1.
        """
        batches = tuple(images.values())
        first, dtype = batches[0], batches[0].dtype
        if is_autocast(first):
            dtype = torch.promote_types(self.shift.dtype, torch.float32)
            batches = tuple(batch.to(dtype) for batch in batches)
        if mask is not None:
            mask = scaled_mask(mask, first.shape[0], torch.promote_types(dtype, torch.float32))
        if is_recorded(first):  # the batch size is a symbol, or may change later
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
        """The images after all checks, with batches of one image repeated."""
        self.keep_frozen()
        with quiet_checks():
            images = broadcast(images)
            self.check(images, normalize, mask, spatial=spatial)
        return images

    def at_once(self, ref: Tensor, batches: int, dtype: torch.dtype | None = None) -> int:
        """The number of examples per block: on a CPU, about as many as have their maps in its last cache.

        Args:
            ref: the images of one batch (N, 3, H, W).
            batches: images per example, including the reference.
            dtype: the dtype of the maps; by default that of the images.
        """
        count = len(ref)
        if ref.device.type != "cpu":
            return count
        per_example = batches * self.map_density * math.prod(ref.shape[2:]) * (dtype or ref.dtype).itemsize
        most = max(1, int(CPU_BLOCK_BYTES[torch.get_num_threads() > 1] / per_example))
        blocks = -(-count // most)
        return -(-count // blocks)  # blocks of equal size, except the last

    def _apply(self, *args: object, **kwargs: object) -> "Core":
        """Convert or move all tensors, and make the constants again, which are then rounded only once."""
        super()._apply(*args, **kwargs)  # type: ignore[no-untyped-call]  # in torch
        self._set_constants(self.shift)
        return self

    def _set_constants(self, like: Tensor) -> None:
        for name, values in CONSTANTS.items():
            # Rounded to float32 first, as in the released package, even for float64.
            exact = torch.tensor(values, dtype=torch.float32, device=like.device)
            setattr(self, name, exact.to(like.dtype).view(1, 3, 1, 1))


def _set_constants_after_load(core: Core, incompatible: object) -> None:
    # With assign=True the parameters may have another dtype or device now.
    core._set_constants(next(core.backbone.parameters()).detach())
