"""Calls spread over processes, with the same results whatever their number."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import connection

import cv2
import torch


@contextmanager
def map_over_processes(workers: int) -> Iterator[Callable]:
    """Give a `map(function, items)` that keeps the order of the items and leaves no process behind.

    Sums over several threads can differ in their last bits, so every process computes with one. One worker is this
    process itself, and more are started afresh: a fork of a process in which torch has run threads can hang.

    Args:
        workers: number of processes.
    """
    if workers == 1:
        threads = cv2.getNumThreads(), torch.get_num_threads()
        _use_one_thread()
        try:
            yield map
        finally:
            cv2.setNumThreads(threads[0])
            torch.set_num_threads(threads[1])
        return
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
    try:
        yield executor.map
    finally:
        executor.shutdown(cancel_futures=True)


def _start_worker() -> None:
    _use_one_thread()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _use_one_thread() -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def _end_with_parent() -> None:
    # A killed parent closes no queue: its workers would wait for the next call for ever.
    connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
