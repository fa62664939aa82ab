"""Work in several processes."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import connection

from lpips_repro.errors import UserError


def available_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def process_pool(
    workers: int, initializer: Callable[[], None] | None = None, *, task: str = "", setting: str = "data.workers"
) -> Iterator[ProcessPoolExecutor]:
    """A context with a pool of processes, which end with it, and with this process in any case. Pending tasks are
    dropped.

    They are spawned, not forked: a fork of a process in which torch has run threads can hang. So the calling script
    needs `if __name__ == "__main__":`.

    Args:
        workers: number of processes.
        initializer: called first in each process.
        task, setting: what they do, and the setting of their number, for the message if one is killed.

    Raises:
        UserError: if a process ends before its work is done. Files that were written stay.
    """
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(initializer,))
    try:
        yield executor
    except BrokenExecutor as error:
        fewer = f"with fewer of them ({setting}=1)" if workers > 1 else "with more memory"
        raise UserError(
            f"{task and f'{task}: '}a worker process was killed, most likely because memory ran out: completed work"
            f" is kept: run the command again, {fewer}"
        ) from error
    finally:
        executor.shutdown(cancel_futures=True)


def is_importing_main() -> bool:
    """Whether this is a worker that imports the script that started it, which lacks `if __name__ == "__main__":`."""
    return getattr(multiprocessing.current_process(), "_inheriting", False)


def _start(initializer: Callable[[], None] | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and ends the pool
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if initializer is not None:
        initializer()


def _end_with_parent() -> None:
    # A killed parent closes no queue, so that its workers would wait forever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
    os._exit(1)
