"""Following the redirects of a mirror. Each is checked before its address is requested."""

import contextlib
import ipaddress
import logging
import socket
from collections.abc import Iterator
from urllib.parse import urljoin, urlsplit

import requests

from lpips_repro.config.addresses import public
from lpips_repro.download.http_responses import Failed

log = logging.getLogger(__name__)

MOST_REDIRECTS = 10
# IPv6 addresses whose last 32 bits are an IPv4 address: mapped, compatible and NAT64.
HOLD_IPV4 = [ipaddress.ip_network(network) for network in ("::ffff:0:0/96", "::/96", "64:ff9b::/96")]


@contextlib.contextmanager
def open_address(url: str, headers: dict[str, str], timeout: float) -> Iterator[requests.Response]:
    """A context with the response to a request after all redirects. Its body is not read yet.

    User and password of an address are sent only to its own host. Redirects from https to http, and from public
    addresses to private ones, are refused.

    Raises:
        Failed: if a redirect is refused, or if there are more than `MOST_REDIRECTS`.
        OSError, urllib3's HTTPError: as `requests.get`.
    """
    logging.getLogger("urllib3").setLevel(logging.INFO)  # at DEBUG it logs whole addresses
    asked = url
    with requests.Session() as session:
        for _ in range(MOST_REDIRECTS + 1):
            response = session.get(url, headers=headers, stream=True, timeout=timeout, allow_redirects=False)
            with response:
                target = session.get_redirect_target(response)
                if target is None:
                    if url != asked:
                        log.info("%s: redirected to %s", public(asked), public(url))
                    yield response
                    return
            url = _checked_target(session, url, target)
    raise Failed(f"more than {MOST_REDIRECTS} redirects: refused", again=False)


def _checked_target(session: requests.Session, url: str, target: str) -> str:
    """The whole address of a redirect; raises Failed if it is refused."""
    try:
        new = urljoin(url, target)
    except ValueError:
        raise Failed("redirects to an invalid address: refused", again=False) from None
    why = _why_refused(url, new)
    if why:
        raise Failed(f"redirects to {public(new)}: refused: {why}", again=False)
    old_address, address = urlsplit(url), urlsplit(new)
    if "@" in old_address.netloc and "@" not in address.netloc and not session.should_strip_auth(url, new):
        user, _, _ = old_address.netloc.rpartition("@")
        new = address._replace(netloc=f"{user}@{address.netloc}").geturl()
    return new


def _why_refused(url: str, new: str) -> str | None:
    old_address = urlsplit(url)
    try:
        address = urlsplit(new)
        host, _ = address.hostname, address.port
    except ValueError:
        host = None
    if not host or address.scheme not in ("http", "https"):
        return "not an address on the web"
    if (old_address.scheme, address.scheme) == ("https", "http"):
        return "from https to http"
    if any(map(_is_private, _resolve(host))) and not _reaches_private_only(old_address.hostname or ""):
        return "from a public address to a private one"
    return None


def _reaches_private_only(host: str | None) -> bool:
    found = _resolve(host)
    return bool(found) and all(map(_is_private, found))


def _resolve(host: str | None) -> set[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The addresses of a host, or an empty set if only a proxy can resolve it."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return set()
    return {ipaddress.ip_address(str(address[0]).partition("%")[0]) for *_, address in found}


def _is_private(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address is loopback, link-local, private or otherwise not on the public internet."""
    if address.version == 6:
        if any(address in network for network in HOLD_IPV4):
            address = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        else:
            address = address.sixtofour or address
    return not address.is_global or address.is_multicast
