"""Fixtures that several test modules share, and the marker `cuda`."""

import contextlib
import gc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from lpips_repro.versions import installed_version, package_version
from lpips_repro.weights.folder import WeightsNotFoundError
from lpips_repro.weights.imagenet import imagenet_state

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_configure() -> None:
    """Collect garbage less often, which took a tenth of the time, and start the threads of autograd.

    The first backward pass starts a thread per device. In `FakeTensorMode` that would be one for a GPU that is not
    there, and a process with such threads cannot be forked, as `tests.processes.as_ranks` does.
    """
    gc.set_threshold(20_000, 20, 20)
    torch.zeros(1, requires_grad=True).sum().backward()


def pytest_collection_finish() -> None:
    """Exclude everything that is loaded now from garbage collection."""
    gc.freeze()


@pytest.hookimpl(tryfirst=True)  # before fixtures are made
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that is marked `cuda` if there is no CUDA device."""
    if item.get_closest_marker("cuda") and not torch.cuda.is_available():
        pytest.skip("no CUDA device")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data next to the repository. If it is missing, tests that need it are skipped."""
    if not SHARED.is_dir():
        pytest.skip("no shared/ folder with real weights, triplets and judgments next to the repository")
    return SHARED


@pytest.fixture
def versions_read_again() -> Iterator[None]:
    """Clear the cached versions of packages, for a test that replaces them."""
    for cached in (installed_version, package_version):
        cached.cache_clear()
    yield
    for cached in (installed_version, package_version):
        cached.cache_clear()


@contextlib.contextmanager
def thread_pool(workers: int, **_: object) -> Iterator[ThreadPoolExecutor]:
    """Stands for `process_pool`, with threads."""
    with ThreadPoolExecutor(workers) as pool:
        yield pool


@pytest.fixture(autouse=True)
def packing_in_threads() -> Iterator[None]:
    """Use threads for packing, since a process takes longer to start than to pack a few images."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("archives", "folders"):
            patch.setattr(f"lpips_repro.datasets.packing.{module}.process_pool", thread_pool)
        yield


@pytest.fixture
def imagenet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip a test if the ImageNet weights of AlexNet and SqueezeNet are not found."""
    if SHARED.is_dir():
        monkeypatch.setenv("LPIPS_REPRO_WEIGHTS", str(SHARED / "weights"))
    for net in ("alex", "squeeze"):
        try:
            imagenet_state(net, download=False)
        except WeightsNotFoundError as error:
            pytest.skip(str(error))
