"""The metric as a frozen evaluator: compiled for the shapes it meets, or in bfloat16, or both.

Backbone and distance are compiled as one graph of static shape, with the weights as constants in the layout that the
processor wants (inductor's "freezing"). Compilation takes about ten seconds a shape, and again for a larger batch.
"""

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lpips_repro.errors import UserError, check_choice
from lpips_repro.metrics.compilation import compiling, padded
from lpips_repro.metrics.inputs import check_images
from lpips_repro.metrics.short_convolution import shorten

if TYPE_CHECKING:
    from lpips_repro.metrics.lpips import LPIPS

DTYPES = (torch.float32, torch.bfloat16)


class OptimizedLPIPS(nn.Module):
    """A copy of a metric for evaluation only: no gradients, parameters never to be changed.

    Args:
        metric: the metric, in float32.
        dtype: of the backbone, torch.float32 or torch.bfloat16; images and distances are float32, and distances are
            computed in float32 from feature maps of either.
        compiled: whether to compile; without it only the dtype is another.

    Raises:
        UserError: for another dtype, a metric that is not in float32, or, when called, where compilation fails.
    """

    def __init__(self, metric: "LPIPS", dtype: torch.dtype = torch.float32, *, compiled: bool = True):
        super().__init__()
        check_choice("dtype", str(dtype), map(str, DTYPES))
        found = next(metric.parameters()).dtype
        if found != torch.float32:
            raise UserError(f"the metric is {found}: only one in torch.float32 can be optimized: metric.float()")
        self.metric = copy.deepcopy(metric)
        self.metric.backbone.to(dtype)
        if compiled:
            shorten(self.metric.backbone)
        self.compiled = compiled
        self._compiled: dict[tuple, tuple[int, nn.Module]] = {}

    def __deepcopy__(self, memo: dict) -> "OptimizedLPIPS":
        # What is compiled belongs to its own weights: a copy compiles anew.
        twin = OptimizedLPIPS.__new__(OptimizedLPIPS)
        memo[id(self)] = twin
        twin.__dict__ = {k: {} if k == "_compiled" else copy.deepcopy(v, memo) for k, v in self.__dict__.items()}
        return twin

    def forward(self, x: Tensor, y: Tensor, normalize: bool = False) -> Tensor:
        """As `LPIPS.forward`, on float32 images."""
        return self._distances((x, y), normalize)[0]

    def triplet(self, ref: Tensor, p0: Tensor, p1: Tensor, normalize: bool = False) -> tuple[Tensor, Tensor]:
        """As `LPIPS.triplet`, on float32 images."""
        return self._distances((ref, p0, p1), normalize)

    # Not inference mode, whose tensors are of another kind: a graph for each would be compiled.
    @torch.inference_mode(False)
    @torch.no_grad()
    def _distances(self, batches: tuple[Tensor, ...], normalize: bool) -> tuple[Tensor, ...]:
        for images in batches[1:]:
            check_images(batches[0], images, 0.0 if normalize else -1.0, 1.0, self.metric.backbone.spec.min_size)
        if self.metric.shift.dtype != torch.float32:
            raise ValueError(
                f"the evaluator was converted to {self.metric.shift.dtype}: make one: metric.optimized(dtype)"
            )
        if batches[0].dtype != torch.float32 or batches[0].device != self.metric.shift.device:
            raise ValueError(
                f"images are {batches[0].dtype} on {batches[0].device}, the evaluator takes torch.float32 on"
                f" {self.metric.shift.device}: move them with .to()"
            )
        count, block_distances = self._for_shape(batches)
        done = []
        with compiling(freezing=True):
            for block in zip(*(images.split(count) for images in batches), strict=True):
                # Not compiled, which is slower at putting channels last.
                images = self.metric.preprocess(tuple(padded(part, count) for part in block), normalize)
                done.append(block_distances(images))
        return tuple(torch.cat(parts)[: len(batches[0])] for parts in zip(*done, strict=True))

    def _for_shape(self, batches: tuple[Tensor, ...]) -> tuple[int, nn.Module]:
        """How many examples at a time, and what gives their distances."""
        block = _Block(self.metric, len(batches))
        at_once = self.metric.at_once(batches[0], len(batches))
        if not self.compiled:
            return at_once, block
        key = (len(batches), batches[0].shape[2:])
        if key not in self._compiled or self._compiled[key][0] < at_once:
            self._compiled[key] = at_once, torch.compile(block, dynamic=False, fullgraph=True)
        return self._compiled[key]


class _Block(nn.Module):
    def __init__(self, metric: "LPIPS", batches: int):
        super().__init__()
        self.metric, self.batches = metric, batches

    def forward(self, images: Tensor) -> Tensor:
        return self.metric.preprocessed_distances(images, self.batches)
