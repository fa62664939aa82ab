"""Pools of processes, of which one is killed."""

import os
import signal

import pytest

from lpips_repro.errors import UserError
from lpips_repro.parallel import process_pool


def test_a_killed_worker_is_one_line_that_says_what_happened_and_the_remedy():
    with pytest.raises(UserError) as caught, process_pool(2, task="packing /data") as pool:
        pool.submit(signal.raise_signal, signal.SIGKILL).result()
    assert str(caught.value) == (
        "packing /data: a worker process was killed, most likely because memory ran out: completed work is kept:"
        " run the command again, with fewer of them (data.workers=1)"
    )


def test_for_a_single_worker_fewer_workers_are_not_advised():
    with pytest.raises(UserError, match="run the command again, with more memory"), process_pool(1) as pool:
        pool.submit(signal.raise_signal, signal.SIGKILL).result()


def test_an_error_of_the_work_itself_is_raised_unchanged():
    with pytest.raises(FileNotFoundError), process_pool(1) as pool:
        pool.submit(os.stat, "/nothing/here").result()
