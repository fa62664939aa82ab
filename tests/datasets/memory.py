"""How much memory Python's objects take at the most."""

import contextlib
import multiprocessing
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor


@contextlib.contextmanager
def memory_at_most(size: int) -> Iterator[None]:
    """Fail where the block allocates more than `size` bytes beyond what there is before it, at any one time."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < size, f"{peak} bytes at the most"


def in_new_process(function: Callable[[], None]) -> None:
    """Call a function of a module where no other test has left threads or settings of logging."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        executor.submit(function).result()
