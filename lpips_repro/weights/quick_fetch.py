"""Downloading ImageNet weights within a time limit, for commands that can run without them."""

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
MOST = 1 << 26  # bytes: more than any published file


def fetch_quickly(name: str, connect: float = CONNECT, total: float = TOTAL) -> Path:
    """The file with torchvision's ImageNet weights of a network, downloaded into the torch hub cache if missing.

    Args:
        name: a key of `BACKBONES` whose weights torchvision publishes.
        connect: most seconds until the server answers, and between two bytes; total: most seconds for the file.

    Raises:
        WeightsNotFoundError: in one line, if the file does not arrive in time, is another file, or cannot be stored.
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
            raise OSError(f"the {len(content)} bytes received are not the published file")
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, content)
    except Exception as error:  # of many types: from sockets, HTTP, TLS, the disk
        reason = " ".join(str(error).split()).removeprefix("<urlopen error ").removesuffix(">")
        raise WeightsNotFoundError(f"{url}: {reason or type(error).__name__}") from None
    return file


def _download(url: str, connect: float, total: float) -> bytes:
    """The content that a server sends. A failure raises its exception.

    A thread downloads, and is abandoned when time is up: neither resolving a name nor trying all addresses of a host
    has a timeout.
    """
    said: queue.SimpleQueue[bytes | Exception] = queue.SimpleQueue()

    def work() -> None:
        try:
            with urllib.request.urlopen(url, timeout=connect) as response:
                said.put(b"")
                said.put(response.read(MOST))
        except Exception as error:  # raised again in the waiting thread
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
