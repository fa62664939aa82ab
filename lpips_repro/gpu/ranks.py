"""Checks that two processes that share one GPU train as one process does.

NCCL and `Ranks.device` refuse two ranks on one GPU. Gloo, which is used here, also sums gradients on a GPU, but more
slowly.
"""

import functools
import os
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing

from lpips_repro.distributed import Ranks
from lpips_repro.gpu.resume import agreement, train
from lpips_repro.gpu.runner import Check
from lpips_repro.gpu.small_runs import parameters, training_run
from lpips_repro.runs.checkpoint import load_checkpoint

WORLD = 2
PATIENCE = 180  # seconds


def checks() -> list[Check]:
    """Checks of training on images and on features."""
    variants = {"alex tune": "tune", "alex lin on features": "lin"}
    return [Check("ranks", name, functools.partial(two_as_one, "alex", variant)) for name, variant in variants.items()]


def two_as_one(net: str, variant: str, device: torch.device) -> str:
    """Compare a run of two processes with a run of one."""
    with tempfile.TemporaryDirectory() as root:
        one = train(net, variant, Path(root) / "one", device)
        arguments = (Path(root) / "two", net, variant, str(device))
        processes = torch.multiprocessing.spawn(_rank, arguments, WORLD, join=False)
        _wait(processes)
        two = training_run(Path(root) / "two", net, variant, device)
        saved = load_checkpoint(two.folder / "last.pt", two.identity)
        assert saved is not None, "the processes left no checkpoint"
        two.model.load_trained_state(saved["model"])
        return agreement(one, parameters(two.model))


def _wait(processes: torch.multiprocessing.ProcessContext) -> None:
    end = time.monotonic() + PATIENCE
    try:
        while not processes.join(1):
            if time.monotonic() > end:
                raise AssertionError(f"the processes did not end within {PATIENCE} s")
    finally:
        for process in processes.processes:
            process.kill()


def _rank(rank: int, folder: Path, net: str, variant: str, device: str) -> None:
    """The work of each process."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # works without a network
    folder.mkdir(parents=True, exist_ok=True)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=WORLD)
    # Both have the same local number, that of their GPU.
    ranks = Ranks(rank, WORLD, local=0)
    train(net, variant, folder, torch.device(device), ranks=ranks)
    dist.destroy_process_group()
