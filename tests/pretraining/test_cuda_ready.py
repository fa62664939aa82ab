"""A step of each pretext task on a GPU, seen without one: see `tests.fake_cuda`."""

import copy
import functools

import pytest
import torch

from lpips_repro.devices import one_thread, send
from lpips_repro.pretraining.run import make_task
from lpips_repro.pretraining.step import PretextStep
from lpips_repro.runs.optimizer import make_optimizer
from tests.fake_cuda import CUDA, asynchronous_copies, fake_gpu, no_host_read
from tests.pretraining.learning import draws, patches
from tests.pretraining.tiny import TINY, tiny_config

COUNT = 4


@functools.cache
def made(name):
    """A task and crops to learn from; to be copied."""
    cfg = tiny_config(name)
    return cfg, make_task(cfg.task, seed=0), patches(COUNT, cfg.task.size).numpy()


def step_of(task, cfg):
    return PretextStep(task, make_optimizer(task, cfg.task.learning_rate), cfg)


@pytest.mark.parametrize("name", TINY)
def test_a_step_on_a_gpu_waits_for_no_copy_and_reads_nothing(name):
    cfg, task, crops = made(name)
    task = copy.deepcopy(task)
    with fake_gpu():
        task.to(CUDA)
        take_step = step_of(task, cfg)
        used = []
        task.backbone.register_forward_hook(lambda *_: used.append(torch.backends.cudnn.benchmark))
        with asynchronous_copies() as copies:
            for _ in range(2):  # the first makes the optimizer's state
                shown, norm = take_step(send(crops, CUDA), draws())
    assert shown.keys() == {"loss", *task.shown}
    assert {value.device for value in (*shown.values(), norm)} == {CUDA}
    assert used == [True, True]  # algorithms are timed, which pays for batches of one shape
    assert not torch.backends.cudnn.benchmark
    assert len(copies.sent) == 2 * 3  # the crops, and what was drawn for them and for the task


@pytest.mark.parametrize("name", TINY)
def test_backward_reads_nothing_either(name):
    cfg, task, crops = made(name)
    task = copy.deepcopy(task)
    take_step = step_of(task, cfg)
    with one_thread(), no_host_read():
        shown, _ = take_step(torch.from_numpy(crops), draws())
    assert shown["loss"] > 0
