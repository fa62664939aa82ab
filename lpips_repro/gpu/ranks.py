"""Checks that two processes that share one GPU train as one process does.

NCCL and `Ranks.device` refuse two ranks on one GPU. Gloo, which is used here, also sums gradients on a GPU, but more
slowly.
"""

import functools
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing

from lpips_repro.distributed import Ranks
from lpips_repro.gpu.resume import Trained, agreement, pretrain, train
from lpips_repro.gpu.runner import Check

WORLD = 2
PATIENCE = 180  # seconds


def checks() -> list[Check]:
    """Checks of training on images and on features, and of a pretext task with batch normalization."""
    runs = {
        "alex tune": functools.partial(train, "alex", "tune"),
        "alex lin on features": functools.partial(train, "alex", "lin"),
        "bigan": functools.partial(pretrain, "bigan"),
    }
    return [Check("ranks", name, functools.partial(two_as_one, run)) for name, run in runs.items()]


def two_as_one(run: Callable[..., Trained], device: torch.device) -> str:
    """Compare a run of two processes with a run of one."""
    with tempfile.TemporaryDirectory() as root:
        one, folder = run(Path(root) / "one", device), Path(root) / "two"
        processes = torch.multiprocessing.spawn(_rank, (folder, run, str(device)), WORLD, join=False)
        _wait(processes)
        return agreement(one, torch.load(folder / "after.pt", weights_only=True))


def _wait(processes: torch.multiprocessing.ProcessContext) -> None:
    end = time.monotonic() + PATIENCE
    try:
        while not processes.join(1):
            if time.monotonic() > end:
                raise AssertionError(f"the processes did not end within {PATIENCE} s")
    finally:
        for process in processes.processes:
            process.kill()


def _rank(rank: int, folder: Path, run: Callable[..., Trained], device: str) -> None:
    """The work of each process."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # works without a network
    folder.mkdir(parents=True, exist_ok=True)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=WORLD)
    # Both have the same local number, that of their GPU.
    ranks = Ranks(rank, WORLD, local=0)
    trained = run(folder, torch.device(device), ranks=ranks)
    if ranks.first:
        torch.save(trained.after, folder / "after.pt")
    dist.destroy_process_group()
