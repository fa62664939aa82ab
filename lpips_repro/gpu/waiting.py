"""Making steps of a training loop fail if they wait for the GPU."""

import contextlib
import itertools
from collections.abc import Iterator

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

# Synchronization is an error after the first and until the second of these steps of the optimizer: the first steps set
# up and compile, and a validation follows the last one.
AFTER, UNTIL = 2, 5


@contextlib.contextmanager
def no_waiting() -> Iterator[None]:
    """A context in which each synchronization with a GPU raises, in the middle steps of the loop inside it.

    PyTorch does not report synchronizations of distributed collectives, or non-blocking copies that wait because their
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
        raise AssertionError(f"{taken} steps were taken: expected at least {UNTIL + 1}")
