"""How much memory Python's objects take at the most."""

import contextlib
import tracemalloc
from collections.abc import Iterator


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
