"""Several processes at one job, as `torchrun` starts them:

    torchrun --nproc-per-node 2 scripts/train.py net=vgg variant=tune

Without torchrun a process is the only rank of its group, and everything here is free.
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

# The first rank may fetch or pack a dataset while the others wait for it.
TIMEOUT = datetime.timedelta(days=1)
# What gloo says where a process at the other end is no more.
PEER_LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe")


@dataclass(frozen=True)
class Ranks:
    """This process among those at the job.

    Attributes:
        rank: its number; world: how many there are.
        local: its number on this machine, and that of its GPU.
    """

    rank: int = 0
    world: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether it is the one that writes and reports."""
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
        """Whether each flag is set on any rank. The ranks meet once for all flags; no GPU is waited for."""
        if self.world == 1:
            return flags
        found = torch.tensor(flags, dtype=torch.int64)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return tuple(map(bool, found.tolist()))

    def meet(self) -> None:
        """Wait for all ranks."""
        self.any(False)

    def device(self, kind: torch.device) -> torch.device:
        """This rank's device of a kind: each has a GPU of its own, and UserError says where there are too few."""
        if kind.type != "cuda" or self.world == 1:
            return kind
        if self.local >= torch.cuda.device_count():
            raise UserError(
                f"{self.local + 1} processes and {torch.cuda.device_count()} GPUs on this machine: start no more"
                " processes than that (--nproc-per-node)"
            )
        return torch.device("cuda", self.local)

    def share(self, count: int) -> slice:
        """This rank's part of so many things; parts differ by one at most, and may be empty."""
        return slice(self.rank * count // self.world, (self.rank + 1) * count // self.world)

    def parallel(self, module: nn.Module) -> nn.Module:
        """The module with gradients that are the mean over the ranks, as soon as all have called backward."""
        if self.world == 1:
            return module
        # No buffer ever changes; newer versions of torch have another name for leaving them alone.
        names = ("forward_sync_buffers", "broadcast_buffers")
        name = next(name for name in names if name in inspect.signature(DistributedDataParallel).parameters)
        settings: dict[str, Any] = {"gradient_as_bucket_view": True, name: False}
        return DistributedDataParallel(module, **settings)

    @contextlib.contextmanager
    def first_before_others(self) -> Iterator[None]:
        """The first rank goes through the block alone, then the others do: they find done what it did."""
        if not self.first:
            self.meet()
        yield
        if self.first:
            self.meet()


@contextlib.contextmanager
def started_ranks() -> Iterator[Ranks]:
    """The ranks that torchrun started, connected for as long as the block lasts; only the first one logs.

    Where one of them ends before its time, the others end too: it has said why, or torchrun does.
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
            log.error("another process at this job has ended, and so this one does")
        sys.exit(1)
    dist.destroy_process_group()  # not after an error: the other ranks may be waiting, until torchrun ends them
