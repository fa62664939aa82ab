"""Calls distributed over processes, with results that do not depend on their number."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import cv2
import torch

from lpips_repro.devices import one_thread
from lpips_repro.parallel import process_pool


@contextmanager
def map_over_processes(workers: int, task: str = "", setting: str = "data.workers") -> Iterator[Callable]:
    """A context with a `map(function, items)` over processes that keeps the order of items. It ends the processes.

    Each process uses one thread, since sums over several threads can differ in their last bits. With one worker, this
    process computes. More workers are spawned, not forked: a fork of a process in which torch has run threads can hang.

    Args:
        workers: number of processes.
        task, setting: what they do, and the setting of their number, for the message if one is killed.

    Raises:
        UserError: if one of them is killed.
    """
    if workers == 1:
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            with one_thread():
                yield map
        finally:
            cv2.setNumThreads(threads)
        return
    with process_pool(workers, _use_one_thread, task=task, setting=setting) as executor:
        yield executor.map


def _use_one_thread() -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
