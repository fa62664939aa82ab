"""The redirects of a mirror that are followed, and the credentials that are sent."""

import io
import ipaddress
import logging

import pytest
import requests

from lpips_repro.download import redirects
from lpips_repro.download.http_responses import Failed
from lpips_repro.download.redirects import MOST_REDIRECTS, open_address
from tests.datasets.server import Step, serve

PUBLIC = "93.184.215.14"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture
def web(monkeypatch):
    """A stand-in for the web: redirects by address (other addresses answer), and the list of requested addresses."""
    hops, asked = {}, []

    def get(self, url, **_):
        asked.append(url)
        response = requests.Response()
        target = hops.get(url)
        response.status_code, response.raw = 302 if target else 200, io.BytesIO()
        response.headers["Location"] = target
        return response

    monkeypatch.setattr(requests.Session, "get", get)
    return hops, asked


def final(url):
    with open_address(url, {}, 1.0):
        pass


@pytest.mark.parametrize(
    ("first", "target", "why"),
    [
        (f"https://{PUBLIC}/x", f"http://{PUBLIC}/x", "from https to http"),
        (f"https://{PUBLIC}/x", f"HTTP://{PUBLIC}/x", "from https to http"),
        (f"https://{PUBLIC}/x", "ftp://host/x", "not an address on the web"),
        (f"https://{PUBLIC}/x", "file:///etc/passwd", "not an address on the web"),
        (f"https://{PUBLIC}/x", "https://host:port/x", "not an address on the web"),
        *(
            (f"https://{PUBLIC}/x", f"https://{host}/x", "from a public address to a private one")
            for host in (
                *("127.0.0.1", "localhost", "0.0.0.0", "2130706433", "127.1", "10.1.2.3", "192.168.0.1", "172.16.0.1"),
                *("169.254.169.254", "100.64.0.1", "[::1]", "[fe80::1]", "[fd00::1]", "[::ffff:127.0.0.1]", "[::]"),
                *("[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "user@127.0.0.1", "224.0.0.1"),
            )
        ),
    ],
)
def test_a_refused_redirect_is_not_requested_and_has_its_reason(web, first, target, why):
    hops, asked = web
    hops[first] = target
    with pytest.raises(Failed, match=f"^redirects to .*: refused: {why}$") as caught:
        final(first)
    assert not caught.value.again
    assert asked == [first]


@pytest.mark.parametrize(
    ("first", "target"),
    [
        (f"https://{PUBLIC}/x", "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/y"),
        (f"http://{PUBLIC}/x", f"https://{PUBLIC}/x"),
        ("http://10.0.0.1/x", "http://192.168.0.1/y"),  # a mirror of a laboratory
        ("http://127.0.0.1:1/x", "http://127.0.0.1:2/x"),
        ("http://10.0.0.1/x", f"http://{PUBLIC}/x"),
    ],
)
def test_other_redirects_are_followed(web, first, target):
    hops, asked = web
    hops[first] = target
    final(first)
    assert asked == [first, target]


def test_every_redirect_is_checked(web):
    hops, asked = web
    hops["http://10.0.0.1/x"], hops[f"http://{PUBLIC}/x"] = f"http://{PUBLIC}/x", "http://10.0.0.1/secret"
    with pytest.raises(Failed, match="from a public address to a private one"):
        final("http://10.0.0.1/x")
    assert asked == ["http://10.0.0.1/x", f"http://{PUBLIC}/x"]


def test_a_host_is_private_if_one_of_its_addresses_is(web, monkeypatch):
    hops, asked = web
    hops["https://mirror/x"] = "https://inside/x"
    addresses = {"mirror": [PUBLIC, "10.0.0.1"], "inside": [PUBLIC, "10.0.0.2"]}
    monkeypatch.setattr(redirects, "_resolve", lambda host: set(map(ipaddress.ip_address, addresses[host])))
    with pytest.raises(Failed, match="from a public address to a private one"):
        final("https://mirror/x")
    assert asked == ["https://mirror/x"]


def test_a_loop_of_redirects_ends(web):
    hops, asked = web
    hops[f"https://{PUBLIC}/x"] = f"https://{PUBLIC}/x"
    with pytest.raises(Failed, match=f"more than {MOST_REDIRECTS} redirects: refused"):
        final(f"https://{PUBLIC}/x")
    assert len(asked) == MOST_REDIRECTS + 1


def test_user_and_password_go_to_their_own_host_only_and_the_final_address_is_logged(caplog):
    caplog.set_level(logging.INFO)
    with serve(b"", after=Step(404)) as other, serve(b"") as own:
        own.script = [Step(302, {"Location": "/moved"}), Step(302, {"Location": f"{own.url}/again"})]
        own.script.append(Step(302, {"Location": f"{other.url}/x?key=secret"}))
        final(own.url.replace("//", "//user:secret@"))
    assert [request.get("Authorization", "")[:5] for request in own.requests] == ["Basic"] * 3
    assert "Authorization" not in other.requests[0]
    assert f"{own.url}: redirected to {other.url}/x" in caplog.text
    assert "secret" not in caplog.text
