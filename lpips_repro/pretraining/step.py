"""A pretraining step: crops -> examples of the task -> loss -> optimizer."""

import torch
from torch import Tensor

from lpips_repro.config import Precision, PretrainConfig
from lpips_repro.devices import fixed_shapes
from lpips_repro.distributed import Ranks
from lpips_repro.errors import UserError
from lpips_repro.precision import tf32
from lpips_repro.pretraining.tasks.task import PretextTask
from lpips_repro.runs.batch_norm import normalize_over_ranks
from lpips_repro.runs.step_mode import set_step_mode


class PretextStep:
    """The step of the loop, a callable.

    Args:
        task: the task, on the device of the crops.
        optimizer: the result of `make_optimizer`.
        cfg: the settings of the run.
        ranks: the processes that share each batch.
    """

    def __init__(
        self, task: PretextTask, optimizer: torch.optim.Optimizer, cfg: PretrainConfig, ranks: Ranks | None = None
    ):
        self.task, self.optimizer, self.ranks = task, optimizer, ranks or Ranks()
        self.tf32 = cfg.precision is Precision.tf32
        set_step_mode(task.backbone, cfg.precision, cfg.compile)
        normalize_over_ranks(task, self.ranks)

    def __call__(self, crops: Tensor, generator: torch.Generator) -> tuple[dict[str, Tensor], Tensor]:
        """Take a step on crops, uint8 (N, S, S, 3), the batch of all ranks, without waiting for a GPU.

        Returns:
            The loss and the task's other numbers, by name (with several ranks: this rank's parts of the sums), and the
            norm of the gradient.

        Raises:
            UserError: if several ranks cannot share what the task draws.
        """
        with tf32(self.tf32), fixed_shapes(crops.device):
            # Each rank draws the examples of the whole batch, so that they do not depend on the number of ranks.
            given, wanted, weight = self._shared(*self.task.draw(crops, generator))
            loss, shown = self.task.loss(given, wanted)
            self.optimizer.zero_grad()
            (loss * weight).backward()
            self.ranks.sum_gradients(self.task)
        norm = torch.nn.utils.get_total_norm([p.grad for p in self.task.parameters() if p.grad is not None])
        self.optimizer.step()
        return {name: value.detach() * weight for name, value in {"loss": loss, **shown}.items()}, norm

    def _shared(self, given: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor, float]:
        """This rank's part of the examples of a step, and its weight in the mean over all examples."""
        if self.ranks.world == 1:
            return given, wanted, 1.0
        counts = [len(part) if isinstance(part, Tensor) and part.dim() else None for part in (given, wanted)]
        count = counts[0]
        if count is None or count != counts[1]:
            found = " and ".join(_said(part) for part in (given, wanted))
            raise UserError(
                f"{type(self.task).__name__}.draw: returned {found}: several processes need two tensors, each with one"
                " entry per example: return these, or start one process (without torchrun)"
            )
        if count < self.ranks.world:
            raise UserError(
                f"{type(self.task).__name__}.draw: returned {count} examples for {self.ranks.world} processes, each of"
                " which needs one: set a larger task.batch_size, or start fewer processes (--nproc-per-node)"
            )
        share = self.ranks.share(count)
        return given[share], wanted[share], (share.stop - share.start) / count


def _said(part: object) -> str:
    return f"a tensor of shape {tuple(part.shape)}" if isinstance(part, Tensor) else f"a {type(part).__name__}"
