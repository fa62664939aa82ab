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
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lpips_repro.errors import UserError

log = logging.getLogger(__name__)

Value = TypeVar("Value")

# The first rank may download or pack a dataset while the others wait for it.
TIMEOUT = datetime.timedelta(days=1)
ANSWER = datetime.timedelta(seconds=5)  # the longest wait for torchrun's store, which all ranks have in common
POLL = 0.01  # seconds between looks at whether all ranks have met
# Gloo's errors if a peer process has ended.
PEER_LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe")


@dataclass(frozen=True)
class Ranks:
    """This process in its group.

    Attributes:
        rank: its number; world: the number of processes.
        local: its number on this machine, and the number of its GPU; local_world: the number of processes there.
    """

    rank: int = 0
    world: int = 1
    local: int = 0
    local_world: int = 1

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
        """Wait for all ranks, however long one of them works. Signals are handled meanwhile."""
        if self.world == 1:
            return
        meeting = dist.all_reduce(torch.zeros(1), async_op=True)
        while not meeting.is_completed():
            time.sleep(POLL)
        meeting.wait()  # raises the error if a rank has ended

    def device(self, kind: torch.device) -> torch.device:
        """This rank's device of a kind. Each rank has its own GPU; UserError if there are too few."""
        if kind.type != "cuda" or self.world == 1:
            return kind
        if self.local_world > torch.cuda.device_count():  # an error of all ranks, since all wait for each other
            raise UserError(
                f"{self.local_world} processes and {torch.cuda.device_count()} GPUs on this machine: start no more"
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

    def copy_from_first(self, module: nn.Module) -> None:
        """Give the module of every rank the parameters and buffers of the first rank's."""
        if self.world > 1:
            module.load_state_dict(self.from_first(module.state_dict() if self.first else {}))

    def sum_gradients(self, module: nn.Module) -> None:
        """Replace the gradients of parameters by their sums over the ranks.

        A parameter without gradient on some ranks gets the sum of the others. One without any gradient keeps none.
        """
        if self.world == 1:
            return
        parameters = [*module.parameters()]
        is_used = self.any(*(parameter.grad is not None for parameter in parameters))
        gradients = [_gradient(p) for p, used in zip(parameters, is_used, strict=True) if used]
        total = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(total)
        for gradient, part in zip(gradients, total.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    @contextlib.contextmanager
    def first_before_others(self) -> Iterator[None]:
        """A context that the first rank runs before the others, which then find its results.

        The others do not show the same warnings again.
        """
        if self.first:
            yield
            self.meet()
            return
        self.meet()
        logging.disable(logging.WARNING)
        try:
            with warnings.catch_warnings(action="ignore"):
                yield
        finally:
            logging.disable(logging.NOTSET)


def _gradient(parameter: nn.Parameter) -> Tensor:
    """The gradient of a parameter, which is made if it is missing."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


@contextlib.contextmanager
def started_ranks() -> Iterator[Ranks]:
    """A context with the connected ranks of torchrun. Only the first rank logs.

    If a rank fails, the others also end. The failed rank or torchrun reports the reason.

    Raises:
        UserError: for a sweep of several runs.
    """
    if not dist.is_torchelastic_launched():
        yield Ranks()
        return
    if HydraConfig.initialized() and HydraConfig.get().mode is RunMode.MULTIRUN:
        raise UserError("--multirun: torchrun starts one run: leave it out, and start torchrun once per run")
    ranks = Ranks(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")))
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


def is_first_to_report(message: str) -> bool:
    """Whether no other process of torchrun's job has reported a message: most errors are those of all processes."""
    address = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    key = "reported", os.environ.get("TORCHELASTIC_RESTART_COUNT"), message
    try:
        return dist.TCPStore(*address, is_master=False, timeout=ANSWER).add(str(key), 1) == 1
    except RuntimeError:  # the store has ended
        return True
