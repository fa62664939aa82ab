"""Calls spread over processes, with the same results whatever their number."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import cv2
import torch

from lpips_repro.devices import one_thread
from lpips_repro.parallel import process_pool


@contextmanager
def map_over_processes(workers: int, task: str = "", setting: str = "data.workers") -> Iterator[Callable]:
    """Give a `map(function, items)` that keeps the order of the items and leaves no process behind.

    Sums over several threads can differ in their last bits, so every process computes with one. One worker is this
    process itself, and more are started afresh: a fork of a process in which torch has run threads can hang.

    Args:
        workers: number of processes.
        task: what they do, for the message if one of them is killed; setting: of their number.

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
