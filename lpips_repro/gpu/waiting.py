"""Makes the steps of a loop fail if they wait for the GPU."""

import contextlib
import itertools
from collections.abc import Iterator

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

# Steps of the optimizer after which, and until which, no synchronization is allowed: the first ones set up and compile,
# and the last one is followed by a validation.
AFTER, UNTIL = 2, 5


@contextlib.contextmanager
def no_waiting() -> Iterator[None]:
    """Let every synchronization with a GPU raise in the middle steps of the loop inside the block.

    PyTorch does not report a synchronization of distributed collectives, or a non-blocking copy that waits because its
    source is not pinned.
    """
    numbers = itertools.count(1)

    def note(*_: object) -> None:
        number = next(numbers)
        if number in (AFTER, UNTIL):
            torch.cuda.set_sync_debug_mode("error" if number == AFTER else "default")

    hook = register_optimizer_step_post_hook(note)
    try:
        yield
    finally:
        hook.remove()
        torch.cuda.set_sync_debug_mode("default")
    if (taken := next(numbers) - 1) <= UNTIL:
        raise AssertionError(f"{taken} steps were taken: at least {UNTIL + 1} were expected")
