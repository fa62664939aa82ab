"""ImageNet weights that a command tries to fetch and goes on without, whatever the network does."""

import hashlib
import queue
import threading
import urllib.request
from pathlib import Path

import torch

from lpips_repro.backbones.registry import BACKBONES
from lpips_repro.files import write_whole
from lpips_repro.weights.folder import WeightsNotFoundError
from lpips_repro.weights.imagenet import find_imagenet_file

CONNECT = 10.0  # seconds
TOTAL = 60.0
MOST = 1 << 26  # bytes: a server that sends more has another file


def fetch_quickly(name: str, connect: float = CONNECT, total: float = TOTAL) -> Path:
    """The file with torchvision's ImageNet weights of a network, downloaded into the torch hub cache if it is missing.

    Args:
        name: a key of `BACKBONES` whose weights torchvision publishes.
        connect: seconds until the server must answer, and between two bytes at most; total: seconds for the file.

    Raises:
        WeightsNotFoundError: one line, if it is not there within that time, is another file, or cannot be stored.
        UserError: if LPIPS_REPRO_WEIGHTS is not a folder.
    """
    if (found := find_imagenet_file(name)) is not None:
        return found
    weights = BACKBONES[name].imagenet
    assert weights is not None
    url = weights.url
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    try:
        content = _download(url, connect, total)
        if not hashlib.sha256(content).hexdigest().startswith(file.stem.rpartition("-")[2]):
            raise OSError(f"the {len(content)} bytes that came are not the file published")
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, content)
    except Exception as error:  # of many kinds: of sockets, HTTP, TLS, the disk
        reason = " ".join(str(error).split()).removeprefix("<urlopen error ").removesuffix(">")
        raise WeightsNotFoundError(f"{url}: {reason or type(error).__name__}") from None
    return file


def _download(url: str, connect: float, total: float) -> bytes:
    """What a server sends, or the exception for what went wrong.

    In a thread of its own, which is left behind when time is up: neither the look-up of a name nor the tries of all
    addresses of a host have a timeout.
    """
    said: queue.SimpleQueue[bytes | Exception] = queue.SimpleQueue()

    def work() -> None:
        try:
            with urllib.request.urlopen(url, timeout=connect) as response:
                said.put(b"")
                said.put(response.read(MOST))
        except Exception as error:  # raised again where the thread is waited for
            said.put(error)

    threading.Thread(target=work, daemon=True).start()
    _taken(said, connect, "no answer")
    return _taken(said, total, "not complete")


def _taken(said: queue.SimpleQueue[bytes | Exception], seconds: float, failure: str) -> bytes:
    try:
        content = said.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"{failure} within {seconds:g} s") from None
    if isinstance(content, Exception):
        raise content
    return content
