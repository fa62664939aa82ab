"""Whether there is a GPU, how a device is kept busy (copies that are not waited for, reading ahead), what is fast."""

import contextlib
import functools
import sys
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

Item = TypeVar("Item")
Value = TypeVar("Value")

# Instructions that multiply bfloat16 numbers, as /proc/cpuinfo names them (x86, then Arm).
BFLOAT16_INSTRUCTIONS = {"avx512_bf16", "amx_bf16", "bf16"}


def send(data: np.ndarray | Tensor, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """Copy data to a device without waiting for the copy.

    Args:
        data: an array, or a tensor on the CPU. The result may share its memory if the device is the CPU.
        device: where the copy goes.
        dtype: dtype of the result; by default that of the data.
    """
    tensor = data if isinstance(data, Tensor) else torch.from_numpy(data)
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = pin(tensor)
    return tensor.to(device, dtype, non_blocking=True)


def pin(tensor: Tensor) -> Tensor:
    """A copy of a CPU tensor in pinned memory, which a GPU reads by itself. Every copy to a GPU goes through here."""
    return tensor.pin_memory()


def read_ahead(
    read: Callable[[Item], Value],
    items: Iterable[Item],
    readers: ThreadPoolExecutor | None = None,
    ahead: Callable[[], int] = lambda: 1,
) -> Generator[Value, None, None]:
    """What `read` gives for each item, in their order: threads read the next ones while the caller works with this one.

    Args:
        read: reads one item; items: in order.
        readers: the threads, which are ended; one by default.
        ahead: items that are read in advance, asked for again every time.
    """
    coming: deque[Future[Value]] = deque()
    with readers or ThreadPoolExecutor(1) as pool:
        try:
            for item in items:
                coming.append(pool.submit(read, item))
                while len(coming) > ahead():
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def workers() -> Iterator[ThreadPoolExecutor]:
    """As many threads as torch has, each of which computes with one of them.

    Independent work is faster in them than one after the other in operations that share all threads. Those wait for
    each other in every operation, and long if another program, or the decoding of images, takes the time of one.
    """
    count, interval = torch.get_num_threads(), sys.getswitchinterval()
    try:
        sys.setswitchinterval(1e-3)  # with Python's 5 ms, a thread waits long for another one to leave the interpreter
        with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(count)  # for threads that begin later
        sys.setswitchinterval(interval)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute with one thread inside the block, so that the same arguments give the same bits everywhere.

    Sums over several threads can differ in their last bits.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@functools.cache
def keep_freed_memory() -> None:
    """Let the C library keep up to 64 MB that tensors on the CPU have freed.

    By default glibc gives more than a few MB back to the system, and each batch asks for them again, page by page:
    that took a fifth of AlexNet's time. It keeps twice the largest block that was freed so far, of at most 32 MB.
    """
    torch.empty(31 << 20, dtype=torch.uint8, device="cpu")


@contextlib.contextmanager
def fixed_shapes(device: torch.device) -> Iterator[None]:
    """Let cuDNN time its algorithms for each convolution once per shape, and take the fastest, inside the block.

    For work on many batches of one shape: a training step, a packed split. Without it cuDNN guesses. The first batch
    of a shape takes longer. The setting is restored at the end; on a CPU nothing happens.

    Two runs may choose differently, so their results differ in the last bits. That breaks no promise: a run that is
    stopped and resumed gives the same bits on a CPU, but not on a GPU, where operations that add in any order (atomic
    additions in backward) are used with or without this setting.
    """
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = before or device.type == "cuda"
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


@functools.cache
def native_bfloat16() -> bool | None:
    """Whether the CPU has instructions for bfloat16, or None if the system does not say."""
    try:
        info = Path("/proc/cpuinfo").read_text()
    except OSError:
        return None
    lines = [line for line in info.splitlines() if line.startswith(("flags", "Features"))]
    return any(flag in BFLOAT16_INSTRUCTIONS for line in lines for flag in line.split())


@functools.cache
def warn_of_slow_bfloat16() -> None:
    """Warn, once per process, if bfloat16 is slower than float32 on this CPU."""
    if native_bfloat16() is False:
        warnings.warn(
            "this CPU has no bfloat16 instructions (avx512_bf16, amx_bf16): bfloat16 is slower on it than float32"
            " (by 1.3 to 8 times in measurements), and less exact: use float32",
            stacklevel=3,
        )


def why_no_cuda(device: str | torch.device = "cuda") -> str | None:
    """Why a GPU (the current one, or one with a number, such as cuda:1) cannot be used, or None if it can."""
    if torch.version.cuda is None:
        return f"this build of torch ({torch.__version__}) has no CUDA"
    if not torch.cuda.is_available():
        return "no CUDA device or driver was found"
    try:
        torch.zeros(1, device=device)
    except RuntimeError as error:
        return str(error).splitlines()[0]
    return None
