"""Work spread over processes."""

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
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def process_pool(
    workers: int, initializer: Callable[[], None] | None = None, *, task: str = "", setting: str = "data.workers"
) -> Iterator[ProcessPoolExecutor]:
    """Processes that end with this one, however it ends, and with the block; tasks not begun are dropped then.

    They are started afresh: a fork of a process in which torch has run threads can hang. So the calling script needs
    the usual `if __name__ == "__main__":`.

    Args:
        workers: number of processes.
        initializer: called first in each.
        task: what they do, for the message if one of them is killed; setting: of their number.

    Raises:
        UserError: if one of them ends before its work does. What the block has written stays.
    """
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(initializer,))
    try:
        yield executor
    except BrokenExecutor as error:
        fewer = f"with fewer of them ({setting}=1)" if workers > 1 else "with more memory"
        raise UserError(
            f"{task and f'{task}: '}a worker process was killed, most likely because memory ran out: what is complete"
            f" is kept: run the command again, {fewer}"
        ) from error
    finally:
        executor.shutdown(cancel_futures=True)


def is_importing_main() -> bool:
    """Whether this is such a process, which imports the script that started it: a script without the usual line."""
    return getattr(multiprocessing.current_process(), "_inheriting", False)


def _start(initializer: Callable[[], None] | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C and ends the pool
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if initializer is not None:
        initializer()


def _end_with_parent() -> None:
    # A killed parent closes no queue: its workers would wait for the next call for ever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
    os._exit(1)
