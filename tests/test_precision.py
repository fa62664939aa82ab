"""Switches of PyTorch are set inside a block, and restored after it."""

import threading

import pytest
import torch

from lpips_repro.precision import full_float32, set_tf32, tf32

# torch >= 2.9 has new switches in addition to the old ones.
NEW = hasattr(torch.backends.cudnn, "conv")
READ = {
    "cudnn.allow_tf32": lambda: torch.backends.cudnn.allow_tf32,
    "matmul.allow_tf32": lambda: torch.backends.cuda.matmul.allow_tf32,
    "matmul precision": torch.get_float32_matmul_precision,
}
if NEW:
    READ |= {
        "all": lambda: torch.backends.fp32_precision,
        "cudnn": lambda: torch.backends.cudnn.fp32_precision,
        "cudnn.conv": lambda: torch.backends.cudnn.conv.fp32_precision,
        "cudnn.rnn": lambda: torch.backends.cudnn.rnn.fp32_precision,
        "cuda.matmul": lambda: torch.backends.cuda.matmul.fp32_precision,
        "mkldnn.matmul": lambda: torch.backends.mkldnn.matmul.fp32_precision,
    }
# Switches that a program may have set before, old and new ones.
OLD_WAYS = {
    "nothing": lambda: None,
    "cudnn.allow_tf32 off": lambda: setattr(torch.backends.cudnn, "allow_tf32", False),
    "matmul.allow_tf32 on": lambda: setattr(torch.backends.cuda.matmul, "allow_tf32", True),
    "precision high": lambda: torch.set_float32_matmul_precision("high"),
    "precision medium": lambda: torch.set_float32_matmul_precision("medium"),
}
NEW_WAYS = {
    f"{name} {value}": lambda place=place, value=value: setattr(place(), "fp32_precision", value)
    for name, place in {
        "all": lambda: torch.backends,
        "cudnn": lambda: torch.backends.cudnn,
        "conv": lambda: torch.backends.cudnn.conv,
        "matmul": lambda: torch.backends.cuda.matmul,
    }.items()
    for value in ("ieee", "tf32")
}
WAYS = {**OLD_WAYS, **(NEW_WAYS if NEW else {})}


def state():
    """The values of all switches, or the error of a switch that cannot be read, since others contradict it."""
    found = {}
    for name, read in READ.items():
        try:
            found[name] = read()
        except RuntimeError:
            found[name] = RuntimeError
    return found


def computes_in_tf32():
    """Whether convolutions (cuDNN) and matrix products (cuBLAS) use TF32."""
    if NEW:
        return torch.backends.cudnn.conv.fp32_precision == "tf32", torch.backends.cuda.matmul.fp32_precision == "tf32"
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


@pytest.fixture(autouse=True)
def untouched():
    """Set the switches to the values of a new process, before and after each test."""

    def reset():
        if NEW:
            for place in (
                torch.backends,
                torch.backends.cudnn,
                torch.backends.cuda.matmul,
                torch.backends.mkldnn.matmul,
            ):
                place.fp32_precision = "none"
        torch.backends.cudnn.allow_tf32 = True
        torch.set_float32_matmul_precision("highest")
        if NEW:
            torch.backends.cuda.matmul.fp32_precision = torch.backends.mkldnn.matmul.fp32_precision = "none"

    reset()
    yield
    reset()


@pytest.mark.parametrize("way", WAYS)
def test_switches_are_set_inside_and_exactly_restored(way):
    WAYS[way]()
    before = state()
    for block, wanted in ((tf32(True), True), (tf32(False), False), (full_float32(), False)):
        with block:
            assert computes_in_tf32() == (wanted, wanted)
        assert state() == before
    restore = set_tf32(not computes_in_tf32()[0])
    restore()
    assert state() == before


def test_by_default_pytorch_computes_convolutions_in_tf32_and_ours_do_not():
    assert computes_in_tf32() == (True, False)
    with full_float32():
        assert computes_in_tf32() == (False, False)


@pytest.mark.parametrize("wanted", [False, True])
def test_a_guard_leaves_an_explicit_block_alone(wanted):
    before = state()
    with tf32(wanted):
        with full_float32():
            assert computes_in_tf32() == (wanted, wanted)
        assert computes_in_tf32() == (wanted, wanted)
    assert state() == before


def test_the_innermost_block_decides():
    before = state()
    with full_float32(), tf32(True):
        with tf32(False):
            assert computes_in_tf32() == (False, False)
        assert computes_in_tf32() == (True, True)
    with tf32(True):
        pass
    assert state() == before


def test_an_error_inside_restores_too():
    before = state()
    for block in (tf32(True), full_float32()):
        with pytest.raises(KeyError), block:
            raise KeyError
        assert state() == before


@pytest.mark.parametrize("kind", ["full_float32", "tf32"])
def test_blocks_of_threads_that_overlap_restore_what_the_first_one_found(kind):
    before, inside, leave = state(), [threading.Event(), threading.Event()], [threading.Event(), threading.Event()]

    def work(number):
        with full_float32() if kind == "full_float32" else tf32(True):
            inside[number].set()
            assert leave[number].wait(60)

    wanted = kind == "tf32"
    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for number in range(2):  # the second begins while the first one is inside, and stays longer
        threads[number].start()
        assert inside[number].wait(60)
        assert computes_in_tf32() == (wanted, wanted)
    for number in range(2):
        assert computes_in_tf32() == (wanted, wanted)
        leave[number].set()
        threads[number].join()
    assert state() == before


def test_many_threads_leave_nothing_behind():
    before, faults = state(), []

    def work():
        for _ in range(200):
            with full_float32():
                if computes_in_tf32() != (False, False):
                    faults.append(computes_in_tf32())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert state() == before
