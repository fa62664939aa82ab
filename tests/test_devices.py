"""Copies, reading ahead, and switches for a GPU, which is that of `tests.fake_cuda`."""

import itertools
import threading

import numpy as np
import pytest
import torch

from lpips_repro.devices import fixed_shapes, one_thread, read_ahead, send, why_no_cuda
from tests.fake_cuda import CUDA, asynchronous_copies, fake_gpu

CPU = torch.device("cpu")


def test_sent_data_are_the_same():
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    for data in (array, torch.from_numpy(array)):
        assert torch.equal(send(data, CPU), torch.from_numpy(array))
        assert torch.equal(send(data, CPU, torch.float64), torch.from_numpy(array).double())


@pytest.mark.parametrize("dtype", [None, torch.float32])
def test_data_sent_to_a_gpu_are_pinned_and_not_waited_for(dtype):
    array = np.zeros((2, 3), np.uint8)
    with fake_gpu(), asynchronous_copies():
        sent = send(array, CUDA, dtype)
        assert send(sent, CUDA) is sent  # already on the device
    assert (sent.device, sent.dtype) == (CUDA, dtype or torch.uint8)


def test_items_are_read_in_their_order():
    assert list(read_ahead(lambda number: number**2, range(5))) == [0, 1, 4, 9, 16]
    assert list(read_ahead(len, [])) == []
    assert list(itertools.islice(read_ahead(str, itertools.count()), 3)) == ["0", "1", "2"]


def test_only_the_next_item_is_read_while_one_is_used():
    begun = [threading.Event() for _ in range(4)]
    items = read_ahead(lambda number: begun[number].set() or number, range(4))
    assert next(items) == 0
    assert begun[1].wait(60)
    assert next(items) == 1
    assert begun[2].wait(60)
    assert not begun[3].is_set()


def test_an_item_that_cannot_be_read_is_an_error_in_its_place():
    def read(number):
        if number == 2:
            raise KeyError("torn")
        return number

    items, found = read_ahead(read, range(5)), []
    with pytest.raises(KeyError, match="torn"):
        found.extend(items)
    assert found == [0, 1]


@pytest.fixture(params=[False, True])
def benchmark(request):
    """The value that a program has set."""
    before, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, request.param
    yield request.param
    torch.backends.cudnn.benchmark = before


def test_algorithms_are_timed_only_inside_the_block(benchmark):
    with fixed_shapes(CUDA):
        with fixed_shapes(CUDA):
            assert torch.backends.cudnn.benchmark
        assert torch.backends.cudnn.benchmark
    assert torch.backends.cudnn.benchmark == benchmark
    with pytest.raises(KeyError), fixed_shapes(CUDA):
        raise KeyError
    assert torch.backends.cudnn.benchmark == benchmark


def test_on_a_cpu_nothing_is_set(benchmark):
    with fixed_shapes(CPU):
        assert torch.backends.cudnn.benchmark == benchmark


def test_one_thread_computes_only_inside_the_block():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        with pytest.raises(KeyError), one_thread():
            assert torch.get_num_threads() == 1
            raise KeyError
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_a_gpu_number_that_does_not_exist_is_no_usable_gpu(monkeypatch):
    def zeros(count, device):
        if str(device) == "cuda:9":
            raise RuntimeError("CUDA error: invalid device ordinal\nmore")

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "zeros", zeros)
    assert why_no_cuda() is None
    assert why_no_cuda("cuda:9") == "CUDA error: invalid device ordinal"
