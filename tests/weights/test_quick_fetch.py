"""A fetch that is given up rather than waited for."""

import contextlib
import dataclasses
import hashlib
import socket
import time
from types import SimpleNamespace

import pytest

from lpips_repro.backbones import BACKBONES
from lpips_repro.errors import UserError
from lpips_repro.weights.folder import WeightsNotFoundError
from lpips_repro.weights.quick_fetch import fetch_quickly
from tests.datasets.server import Step, serve

CONTENT = bytes(range(256)) * 400


@pytest.fixture
def published(bare, monkeypatch):
    """Gives the function that says where SqueezeNet's weights are published."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    def at(address):
        url = f"{address}/net-{hashlib.sha256(CONTENT).hexdigest()[:8]}.pth"
        spec = dataclasses.replace(BACKBONES["squeeze"], imagenet=SimpleNamespace(url=url))
        monkeypatch.setitem(BACKBONES, "squeeze", spec)

    return at


@contextlib.contextmanager
def silent():
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def failure(tmp_path, **limits):
    """Why nothing was fetched: one line; and the seconds that took. Nothing is left in the cache."""
    started = time.monotonic()
    with pytest.raises(WeightsNotFoundError) as found:
        fetch_quickly("squeeze", **limits)
    assert len(str(found.value).splitlines()) == 1
    assert not [path for path in (tmp_path / "hub").rglob("*") if path.is_file()]
    return str(found.value), time.monotonic() - started


def test_the_file_is_fetched_once_into_the_cache(published, tmp_path):
    with serve(CONTENT) as server:
        published(server.url)
        file = fetch_quickly("squeeze")
        assert fetch_quickly("squeeze") == file
        assert len(server.requests) == 1
    assert file.parent == tmp_path / "hub/checkpoints"
    assert file.read_bytes() == CONTENT


def test_a_server_that_never_answers_is_given_up(published, tmp_path):
    with silent() as address:
        published(address)
        reason, seconds = failure(tmp_path, connect=0.2)
    assert reason.endswith(("no answer within 0.2 s", "timed out"))
    assert seconds < 2


def test_a_name_whose_look_up_hangs_is_given_up(published, tmp_path, monkeypatch):
    published("http://nowhere")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: time.sleep(3))
    reason, seconds = failure(tmp_path, connect=0.2)
    assert reason.endswith("no answer within 0.2 s")
    assert seconds < 2


def test_a_server_that_refuses_is_named_with_the_reason(published, tmp_path):
    with silent() as address:
        published(address)
    reason, _ = failure(tmp_path)
    assert reason.startswith(f"{address}/net-")
    assert reason.endswith("Connection refused")


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (Step(content=b"<html>Log in to this network</html>"), "the 35 bytes received are not the published file"),
        (Step(content=b""), "the 0 bytes received are not the published file"),
        (Step(cut=9000), "the 9000 bytes received are not the published file"),
        (Step(status=404), "HTTP Error 404: Not Found"),
        (Step(status=503), "HTTP Error 503: Service Unavailable"),
        (Step(stall=9000), "timed out"),
    ],
)
def test_what_is_not_the_whole_file_is_refused(published, tmp_path, step, message):
    with serve(CONTENT, step) as server:
        published(server.url)
        reason, seconds = failure(tmp_path, connect=0.3)
    assert reason.endswith(message)
    assert seconds < 2


def test_a_file_that_comes_in_drips_is_given_up(published, tmp_path):
    with serve(CONTENT, Step(slow=0.05, block=10)) as server:
        published(server.url)
        reason, seconds = failure(tmp_path, connect=1, total=0.3)
    assert reason.endswith("not complete within 0.3 s")
    assert seconds < 2


def test_a_cache_that_cannot_be_written_is_named(published, tmp_path):
    (tmp_path / "hub").write_text("")
    with serve(CONTENT) as server:
        published(server.url)
        with pytest.raises(WeightsNotFoundError, match="hub"):
            fetch_quickly("squeeze")


def test_a_folder_of_weights_that_does_not_exist_is_an_error_of_the_users(published, monkeypatch):
    monkeypatch.setenv("LPIPS_REPRO_WEIGHTS", "no/such/folder")
    with pytest.raises(UserError, match="LPIPS_REPRO_WEIGHTS=no/such/folder: no such folder"):
        fetch_quickly("squeeze")
