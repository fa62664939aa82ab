"""A group of processes started by `torchrun`:

    torchrun --nproc-per-node 2 scripts/train.py net=vgg variant=tune

Without torchrun a process is the only rank of its group, and nothing here has a cost.
"""

import contextlib
import datetime
import inspect
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from lpips_repro.errors import UserError

log = logging.getLogger(__name__)

Value = TypeVar("Value")

# The first rank may download or pack a dataset while the others wait for it.
TIMEOUT = datetime.timedelta(days=1)
# Gloo's errors if a peer process has ended.
PEER_LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe")


@dataclass(frozen=True)
class Ranks:
    """This process in its group.

    Attributes:
        rank: its number; world: the number of processes.
        local: its number on this machine, and the number of its GPU.
    """

    rank: int = 0
    world: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether it is the first rank, which writes and logs."""
        return self.rank == 0

    def gather(self, value: Value) -> list[Value]:
        """The values of all ranks, in their order, on every rank."""
        if self.world == 1:
            return [value]
        values: list = [None] * self.world
        dist.all_gather_object(values, value)
        return values

    def from_first(self, value: Value) -> Value:
        """The first rank's value, on every rank."""
        if self.world == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values)
        return values[0]

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """Whether each flag is set on any rank. The ranks synchronize once, and do not wait for a GPU."""
        if self.world == 1:
            return flags
        found = torch.tensor(flags, dtype=torch.int64)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return tuple(map(bool, found.tolist()))

    def meet(self) -> None:
        """Wait for all ranks."""
        self.any(False)

    def device(self, kind: torch.device) -> torch.device:
        """This rank's device of a kind. Each rank has its own GPU; UserError if there are too few."""
        if kind.type != "cuda" or self.world == 1:
            return kind
        if self.local >= torch.cuda.device_count():
            raise UserError(
                f"{self.local + 1} processes and {torch.cuda.device_count()} GPUs on this machine: start no more"
                " processes than that (--nproc-per-node)"
            )
        return torch.device("cuda", self.local)

    def share(self, count: int) -> slice:
        """This rank's part of `count` items. Parts differ by at most one item, and may be empty."""
        return slice(self.rank * count // self.world, (self.rank + 1) * count // self.world)

    def parallel(self, module: nn.Module) -> nn.Module:
        """The module with gradients averaged over the ranks in backward."""
        if self.world == 1:
            return module
        # Buffers never change. The option not to synchronize them has two names in versions of torch.
        names = ("forward_sync_buffers", "broadcast_buffers")
        name = next(name for name in names if name in inspect.signature(DistributedDataParallel).parameters)
        settings: dict[str, Any] = {"gradient_as_bucket_view": True, name: False}
        return DistributedDataParallel(module, **settings)

    def sum_gradients(self, module: nn.Module) -> None:
        """Replace the gradients of parameters by their sums over the ranks. Parameters without gradient keep none."""
        if self.world == 1:
            return
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        total = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(total)
        for gradient, part in zip(gradients, total.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    @contextlib.contextmanager
    def first_before_others(self) -> Iterator[None]:
        """A context that the first rank runs before the others, which then find its results."""
        if not self.first:
            self.meet()
        yield
        if self.first:
            self.meet()


@contextlib.contextmanager
def started_ranks() -> Iterator[Ranks]:
    """A context with the connected ranks of torchrun. Only the first rank logs.

    If a rank fails, the others also end. The failed rank or torchrun reports the reason.
    """
    if not dist.is_torchelastic_launched():
        yield Ranks()
        return
    ranks = Ranks(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))
    if not ranks.first:
        logging.getLogger().setLevel(logging.WARNING)
    with_cuda = torch.cuda.is_available()
    if with_cuda and ranks.local < torch.cuda.device_count():
        torch.cuda.set_device(ranks.local)
    dist.init_process_group("cpu:gloo,cuda:nccl" if with_cuda else "gloo", timeout=TIMEOUT)
    try:
        yield ranks
    except RuntimeError as error:
        if not any(text in str(error) for text in PEER_LOST):
            raise
        if ranks.first:
            log.error("another process of this job has ended: this one ends too")
        sys.exit(1)
    dist.destroy_process_group()  # not after an error: other ranks may wait until torchrun ends them
