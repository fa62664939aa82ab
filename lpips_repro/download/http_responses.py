"""Checks of a mirror's response: the place of its bytes, whether they are of the archive, and why it failed."""

import http.client
import re
from collections.abc import Iterator

import requests
import urllib3

from lpips_repro.config.addresses import public
from lpips_repro.download.partial_download import GZIP, Card, PartialDownload


class Failed(Exception):
    """A failed attempt: the reason, the pause that the mirror asks for, and whether to try again.

    `from_start`: the next attempt cannot resume. The downloaded part is kept until it brings more.
    """

    def __init__(self, why: str, *, pause: float = 0.0, again: bool = True, from_start: bool = False) -> None:
        super().__init__(" ".join(why.split()))  # one line, for any text of a server
        self.pause, self.again, self.from_start = pause, again, from_start


def accept(response: requests.Response, size: int, card: Card, address: str) -> tuple[int, Card]:
    """The first byte that a response sends, and the card of its file; raises Failed if it does not send the file."""
    status, headers = response.status_code, response.headers
    # Not the server's own text, which may repeat secrets.
    phrase = f"{status} {http.client.responses.get(status, '')}".strip()
    if status in (408, 429) or status >= 500:
        pause = headers.get("Retry-After", "")
        raise Failed(phrase, pause=float(pause) if pause.isdecimal() else 0.0)
    if status not in (200, 206, 416):
        raise Failed(phrase, again=False)

    length = int(headers["Content-Length"]) if headers.get("Content-Length", "").isdecimal() else None
    etag = headers.get("ETag")
    new: Card = {
        "address": address,
        "total": length,
        "etag": etag if etag and not etag.startswith("W/") else None,  # a weak ETag does not identify bytes
        "modified": headers.get("Last-Modified"),
    }
    if status == 200:
        return 0, new

    found = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+)", headers.get("Content-Range", ""))
    start = int(found[1]) if found and found[1] else None
    new["total"] = total = int(found[2]) if found else None
    if status == 416 and size and total == size and card["address"] == address:
        return size, new  # the first announced length was too large
    fits = status == 206 and start == size and total is not None and (length is None or size + length <= total)
    if not fits or (size and not _same_file(card, new)):
        instead = "another file than the one begun" if fits else headers.get("Content-Range", "no Content-Range")
        raise Failed(f"{phrase}: {instead}: expected bytes {size}-", from_start=True)
    # An answer to If-Range may leave out ETag and Last-Modified.
    return size, card if size and card["address"] == address else new


def take_head(chunks: Iterator[bytes], response: requests.Response, total: int | None, part: PartialDownload) -> bytes:
    """The first bytes of a file that is sent from its beginning; raises Failed if it cannot be the archive.

    Error pages may have status 200. Nothing is written before this check, so that they never replace kept bytes.
    """
    head = b""
    while len(head) < len(GZIP) and (chunk := next(chunks, b"")):
        head += chunk
    if total is not None and len(head) < min(len(GZIP), total):
        raise Failed(f"ended at {len(head)} of {total} bytes")
    if wrong := not_gzip(head, response.headers.get("Content-Type", "")):
        raise Failed(f"its file is {wrong}", again=False)
    if total is None and not response.raw.chunked:
        raise Failed("announces no length, so that a truncated file would not be noticed", again=False)
    if total is not None:
        check_size(total, part)
    return head


def check_size(size: int, part: PartialDownload) -> None:
    """Raise Failed if a complete file has too few or too many bytes to be the archive."""
    if not part.least <= size <= part.most:
        wrong = "less than half of" if size < part.least else "more than twice"
        raise Failed(f"its file has {size} bytes, {wrong} the published size", again=False)


def not_gzip(head: bytes, kind: str = "") -> str | None:
    """None for the first bytes of a gzip file, else a description of them; `kind`: their Content-Type."""
    if head.startswith(GZIP):
        return None
    if not head:
        return "an empty file"
    text = head[:150].decode("utf-8-sig", "replace").rstrip("\ufffd")  # the last character may be cut
    text = re.sub(r"[ \t\r\n]+", " ", text)
    readable = text and text.isprintable() and "\ufffd" not in text
    begin = repr(public(text)) if readable else f"bytes {head[:8].hex(' ')}"
    return f"not a gzip file{kind and f' ({kind})'}: it begins with {begin}"


def reason(error: BaseException, timeout: float) -> str:
    """The reason of an error, without the libraries' own exceptions, which repeat the address."""
    libraries = (requests.RequestException, urllib3.exceptions.HTTPError)
    while isinstance(error, libraries) and (below := error.__cause__ or error.__context__):
        error = below
    if isinstance(error, TimeoutError):
        return f"no answer or no bytes for {timeout:g} s"
    return public(f"{error}" or type(error).__name__)


def _same_file(old: Card, new: Card) -> bool:
    """Whether nothing shows that two cards are of different files. Dates may differ between mirrors."""
    keys = ["etag", "modified"] if old["address"] == new["address"] else ["etag"]
    return old["total"] == new["total"] and all(old[key] == new[key] for key in keys if old[key] and new[key])
