"""The metric as a frozen evaluator: compiled per shape, in bfloat16, or both.

Backbone and distance are compiled as one graph of static shape, with the weights as constants in the layout that suits
the processor (inductor's "freezing"). Compilation takes about ten seconds per shape and number of examples.
"""

import contextlib
import copy
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lpips_repro.devices import warn_of_slow_bfloat16
from lpips_repro.errors import UserError, check_choice
from lpips_repro.metrics.compilation import compiling, padded
from lpips_repro.metrics.inputs import broadcast, is_autocast
from lpips_repro.metrics.lpips.arguments import refuse_arguments
from lpips_repro.metrics.lpips.channels import weighted_sum, without_autocast
from lpips_repro.metrics.lpips.core import Core
from lpips_repro.metrics.lpips.frozen import FrozenModule
from lpips_repro.metrics.lpips.quick_layers import (
    OneReluFire,
    PointwiseConv2d,
    SeparableMaxPool2d,
    replace_layers,
    spent_maps,
)
from lpips_repro.metrics.lpips.short_convolution import ShortConv2d
from lpips_repro.precision import full_float32

DTYPES = (torch.float32, torch.bfloat16)
# A batch is padded to an already compiled size if that is at most PADDING times as large, or FIRST_PADDING times if the
# batch's own size is used for the first time.
PADDING, FIRST_PADDING = 2, 8


class OptimizedLPIPS(FrozenModule):
    """A copy of a metric for evaluation only. It has no gradients, and its parameters must not be changed.

    It is not part of the `state_dict` of a module that contains it.

    Args:
        core: the metric's core, in float32; head: the weights of its channels (C,).
        dtype: dtype of the backbone, also under autocast: torch.float32 or torch.bfloat16. Images and distances are
            float32 (under autocast, images may have any floating dtype), and distances are computed in float32 from the
            feature maps. bfloat16 is faster only on a processor that has instructions for it; otherwise it warns.
        compiled: whether to compile. Either way, in float32 on a CPU some layers take less time (see
            `short_convolution` and `quick_layers`).
        spatial: as for `LPIPS`.

    Raises:
        UserError: if dtype is another, if the metric is not in float32, or in a call if compilation fails.
    """

    head: Tensor

    def __init__(
        self,
        core: Core,
        head: Tensor,
        dtype: torch.dtype = torch.float32,
        *,
        compiled: bool = True,
        spatial: bool = False,
    ):
        super().__init__(persistent=False)
        check_choice("dtype", str(dtype), map(str, DTYPES))
        found = core.shift.dtype
        if found != torch.float32:
            raise UserError(f"the metric is {found}: only one in torch.float32 can be optimized: call metric.float()")
        if dtype is torch.bfloat16 and core.shift.device.type == "cpu":
            warn_of_slow_bfloat16()
        self.core = Core(copy.deepcopy(core.backbone), core.version, validate=core.validate)
        self.core.backbone.to(dtype)
        if compiled or dtype is torch.float32:
            replace_layers(self.core.backbone, ShortConv2d, PointwiseConv2d, SeparableMaxPool2d, OneReluFire)
        if not compiled:
            self.core.backbone.spent = spent_maps(self.core.backbone)
        self.register_buffer("head", head.detach().clone())
        self.dtype, self.compiled, self.spatial = dtype, compiled, spatial
        self._compiled: dict[tuple[int, torch.Size, bool], dict[int, Callable[[Tensor], Tensor]]] = {}
        self._asked: set[int] = set()
        self.eval()

    # Compiled code holds the weights as constants, so that a copy compiles again.
    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_compiled": {}, "_asked": set()}

    def accepted_state(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """An empty state. It raises UserError for any other, since the weights are constants of the compiled code."""
        if state:
            raise UserError(
                "an evaluator loads no weights: load them into the metric, and call metric.optimized() again"
            )
        return {}

    def forward(self, x: Tensor, y: Tensor, normalize: bool = False, **unknown: Any) -> Tensor:
        """As `LPIPS.forward`, for float32 images, without `per_layer` and `mask`."""
        refuse_arguments("evaluator", unknown)
        return self._distances({"first": x, "second": y}, normalize)[0]

    def triplet(
        self, ref: Tensor, p0: Tensor, p1: Tensor, normalize: bool = False, **unknown: Any
    ) -> tuple[Tensor, Tensor]:
        """As `LPIPS.triplet`, for float32 images, without `per_layer` and `mask`."""
        refuse_arguments("evaluator", unknown)
        d0, d1 = self._distances({"ref": ref, "p0": p0, "p1": p1}, normalize)
        return d0, d1

    def channel_means(self, ref: Tensor, *others: Tensor, normalize: bool = False) -> Tensor:
        """As `LPIPS.channel_means`, for float32 images."""
        images = {"ref": ref, **{f"p{k}": other for k, other in enumerate(others)}}
        return self._in_blocks(images, normalize, spatial=False)

    def _distances(self, images: Mapping[str, Tensor], normalize: bool) -> tuple[Tensor, ...]:
        found = self._in_blocks(images, normalize, self.spatial)
        return (found if self.spatial else weighted_sum(found, self.head)).unbind()

    # Without inference mode: torch would compile a second graph for its tensors.
    @torch.inference_mode(False)
    @torch.no_grad()
    def _in_blocks(self, images: Mapping[str, Tensor], normalize: bool, spatial: bool) -> Tensor:
        """Maps of distances, or means per channel, with the examples along dimension 1."""
        if self.core.shift.dtype != torch.float32:
            raise ValueError(
                f"the evaluator was converted to {self.core.shift.dtype}: make a new one: metric.optimized(dtype)"
            )
        images = broadcast(images)
        self._check(images, normalize)
        batches = tuple(batch.float() for batch in images.values())
        count, compute = self._for_shape(batches, spatial)
        done = []
        guard = full_float32() if batches[0].is_cuda else contextlib.nullcontext()
        with compiling(freezing=True), without_autocast(batches[0]), guard:
            for block in zip(*(batch.split(count) for batch in batches), strict=True):
                # Outside the compiled graph, which is slower at putting channels last.
                prepared = self.core.preprocess(tuple(padded(part, count) for part in block), normalize)
                done.append(compute(prepared.to(self.dtype)))
        return torch.cat(done, dim=1)[:, : len(batches[0])]

    def _check(self, images: Mapping[str, Tensor], normalize: bool) -> None:
        first = next(iter(images.values()))
        if isinstance(first, Tensor):
            fits = first.dtype == torch.float32 or is_autocast(first)
            if not fits or first.device != self.core.shift.device:
                raise ValueError(
                    f"images are {first.dtype} on {first.device}, the evaluator takes torch.float32 on"
                    f" {self.core.shift.device}: move them with .to()"
                )
        self.core.check(images, normalize)

    def _for_shape(self, batches: tuple[Tensor, ...], spatial: bool) -> tuple[int, Callable[[Tensor], Tensor]]:
        """The number of examples per block, and the function that computes a block."""
        block = _Block(self.core, len(batches), self.head if spatial else None)
        at_once = self.core.at_once(batches[0], len(batches), self.dtype)
        if not self.compiled:
            return at_once, block
        known = self._compiled.setdefault((len(batches), batches[0].shape[2:], spatial), {})
        own = rounded_up(at_once)
        most = (PADDING if own in self._asked else FIRST_PADDING) * at_once
        size = min((size for size in known if at_once <= size <= most), default=own)
        if size > PADDING * at_once:
            self._asked.add(own)
        if size not in known:
            known[size] = torch.compile(block, dynamic=False, fullgraph=True)
        return size, known[size]


def rounded_up(count: int) -> int:
    """The count rounded up to one of ten sizes per decade (1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, ...)."""
    sizes = (round(10 ** (k / 10)) for k in itertools.count())
    return next(size for size in sizes if size >= count)


class _Block(nn.Module):
    """The compiled module: means per channel, or maps of distances if a head is given."""

    head: Tensor | None

    def __init__(self, core: Core, batches: int, head: Tensor | None):
        super().__init__()
        self.core, self.batches = core, batches
        self.register_buffer("head", head)

    def forward(self, images: Tensor) -> Tensor:
        if self.head is None:
            return self.core.means_of(images, self.batches)
        return self.core.maps_of(images, self.batches, self.head).sum(dim=2)
