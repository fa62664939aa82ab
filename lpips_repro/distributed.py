"""Several processes at one job, as `torchrun` starts them:

    torchrun --nproc-per-node 2 scripts/train.py net=vgg variant=tune

Without torchrun a process is the only rank of its group, and everything here is free.
"""

import contextlib
import datetime
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist

Value = TypeVar("Value")

# The first rank may fetch or pack a dataset while the others wait for it.
TIMEOUT = datetime.timedelta(days=1)


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

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any rank."""
        return any(self.gather(flag))

    @contextlib.contextmanager
    def first_before_others(self) -> Iterator[None]:
        """The first rank goes through the block alone, then the others do: they find done what it did."""
        if not self.first:
            dist.barrier()
        yield
        if self.first and self.world > 1:
            dist.barrier()


@contextlib.contextmanager
def started_ranks() -> Iterator[Ranks]:
    """The ranks that torchrun started, connected for as long as the block lasts; only the first one logs."""
    if not dist.is_torchelastic_launched():
        yield Ranks()
        return
    ranks = Ranks(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))
    if not ranks.first:
        logging.getLogger().setLevel(logging.WARNING)
    with_cuda = torch.cuda.is_available()
    if with_cuda:
        torch.cuda.set_device(ranks.local % torch.cuda.device_count())
    dist.init_process_group("cpu:gloo,cuda:nccl" if with_cuda else "gloo", timeout=TIMEOUT)
    yield ranks
    dist.destroy_process_group()  # not after an error: the other ranks may be waiting, until torchrun ends them
