"""Fetching an archive from its mirrors, resumably.

A mirror is asked for the bytes that are still missing (Range), on condition that its file is still the one begun
(If-Range). What comes is on disk at once (see part.py), so that nothing of it is lost after a kill -9 either. Where a
mirror sends the file from its beginning all the same, what is kept stays until that has brought more.
"""

import logging
import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

import requests
import urllib3
from tqdm import tqdm

from lpips_repro.datasets.part import Card, Part
from lpips_repro.errors import UserError

log = logging.getLogger(__name__)

CHUNK = 1 << 20
LONGEST_PAUSE = 60.0  # seconds, between two attempts


class _Failed(Exception):
    """An attempt after which the file is not complete: why, the pause the mirror asks for, whether to try again.

    `anew`: the next attempt cannot resume. What there is stays until that one brings something better.
    """

    def __init__(self, why: str, *, pause: float = 0.0, again: bool = True, anew: bool = False) -> None:
        super().__init__(why)
        self.pause, self.again, self.anew = pause, again, anew


def fetch_archive(
    name: str,
    mirrors: Sequence[str],
    folder: Path,
    *,
    needed_bytes: int,
    timeout: float = 30.0,
    attempts: int = 6,
    backoff: float = 1.0,
) -> Path:
    """The archive as a file here: the one in `folder`, one of a local mirror, or downloaded into `folder`.

    One process at a time may use `folder`. What an earlier call left there is resumed.

    Args:
        name: file name, such as "jnd.tar.gz".
        mirrors: in order of preference, each http(s)://host/path, file:///folder or a folder. The file of a local
            mirror is used where it is.
        folder: where downloads go.
        needed_bytes: the least free disk space to begin with; the announced length counts where it is larger.
        timeout: seconds without an answer or a byte after which an attempt has failed.
        attempts: how many attempts in a row may bring no new bytes before the next mirror's turn.
        backoff: seconds before the second of them; doubles with each.

    Raises:
        UserError: where no mirror gave the file (with what each said), or the disk is full. What came is kept.
    """
    if name in ("", ".", "..") or "/" in name or "\\" in name:
        raise ValueError(f"name={name!r}: expected a file name without a folder")
    target, part_file = folder / name, folder / f"{name}.part"
    if target.is_file():
        log.info("%s: complete already", target)
        return target
    answers = []
    for mirror in mirrors:
        if mirror.lower().startswith(("http://", "https://")):
            url = f"{mirror.rstrip('/')}/{quote(name)}"
            with Part(part_file) as part:
                answer = _download(url, part, needed_bytes, timeout, attempts, backoff)
                if answer is None:
                    part.finish(target)
                    log.info("%s: complete, %d bytes", target, target.stat().st_size)
                    return target
            answers.append(f"  {_public(url)}: {answer}")
        else:
            is_address = mirror.lower().startswith("file://")
            local = Path(url2pathname(urlsplit(mirror).path) if is_address else mirror).expanduser() / name
            if local.is_file():
                log.info("%s: used in place", local)
                return local
            answers.append(f"  {local}: no such file")
    said = "\n".join(answers or ["  (there is none in data.mirrors)"])
    raise UserError(
        f"{name}: no mirror gave it:\n{said}\n{Part(part_file).told()}:"
        f' add a mirror with ARGS="data.mirrors=[URL,...]" or put the file into {folder}'
    )


def _download(url: str, part: Part, needed: int, timeout: float, attempts: int, backoff: float) -> str | None:
    """Complete `part` from one mirror; returns None, or what the mirror said last where that failed."""
    failures = 0
    anew = False
    while True:
        (size, card), restarts = part.begun, part.restarts
        if size and size == card["total"]:
            return None
        _check_space(part, max(needed, card.get("total", 0)))
        try:
            _attempt(url, part, needed, timeout, anew)
            return None
        except _Failed as error:
            failed = error
        except (OSError, urllib3.exceptions.HTTPError) as error:
            # ValueError: an address that cannot be requested at all.
            failed = _Failed(_reason(error, timeout), again=not isinstance(error, ValueError))
        if part.restarts == restarts:
            failures = 0 if part.begun[0] > size else failures + 1
        anew = failed.anew or (anew and (part.restarts, part.begun[0]) == (restarts, size))
        # Restarts are never forgotten: a mirror that starts over each time must not go on for ever.
        spent = failures + part.restarts
        kept, _ = part.kept
        if not failed.again or spent >= attempts:
            log.warning("%s: %s; %d bytes are kept, this mirror is given up", _public(url), failed, kept)
            return str(failed)
        pause = min(max(failed.pause, backoff * 2 ** max(spent - 1, 0)), LONGEST_PAUSE)
        log.warning("%s: %s; %d bytes are kept, next attempt in %.1f s", _public(url), failed, kept, pause)
        time.sleep(pause)


def _check_space(part: Part, total: int) -> None:
    folder, needed = part.path.parent, part.room(total, anew=False)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{folder}: {free / 1e9:.2f} GB free: downloading {part.path.stem} needs {needed / 1e9:.2f} GB: free some"
            " space, or set another folder with data.archives"
        )


def _attempt(url: str, part: Part, needed: int, timeout: float, anew: bool) -> None:
    """Request what is missing of `part` once and write what comes; returns when the file is complete."""
    size, card = (0, {}) if anew else part.begun
    headers = {"Accept-Encoding": "identity"}  # lengths and ranges are then those of the file
    if not anew:
        headers["Range"] = f"bytes={size}-"  # from 0 too: the answer to it names the file's length twice
    if size and card["address"] == _public(url) and (card["etag"] or card["modified"]):
        headers["If-Range"] = card["etag"] or card["modified"]
    with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
        start, new = _accept(response, size, card, _public(url))
        total = new["total"]
        if start == total and start:
            return
        if not start and part.kept[0]:
            _start_over(url, part, max(needed, total or 0))
        else:
            _check_space(part, max(needed, total or 0))
        file = part.open(start, new)
        bar = tqdm(total=total, initial=start, desc=part.path.stem, unit="B", unit_scale=True, disable=None)
        with file, bar:
            # Not read(), which loses what it has of a chunk when the connection breaks; and as sent: servers that
            # take a .gz for an encoding of its content would have it decoded.
            while chunk := response.raw.read1(CHUNK, decode_content=False):
                if total is not None and file.tell() + len(chunk) > total:
                    raise _Failed(f"sent more than the {total} bytes announced")
                part.write(file, chunk)
                bar.update(len(chunk))
            if total is not None and file.tell() < total:
                raise _Failed(f"ended at {file.tell()} of {total} bytes")


def _start_over(url: str, part: Part, total: int) -> None:
    """Say that a mirror sends the file from its beginning; raises where there is no room for that."""
    kept, _ = part.kept
    free = shutil.disk_usage(part.path.parent).free
    if free < part.room(total, anew=True):  # the next mirror may go on from what is kept
        raise _Failed(
            f"sends the file from its beginning, for which there is no room beside the {kept} bytes kept"
            f" ({free / 1e9:.2f} GB free)",
            again=False,
        )
    log.warning("%s: the file comes from its beginning: starting over beside the %d bytes kept", _public(url), kept)


def _accept(response: requests.Response, size: int, card: Card, address: str) -> tuple[int, Card]:
    """Where the bytes of a response belong, and the card of its file; raises where it does not bring the file."""
    status, headers = response.status_code, response.headers
    if status in (408, 429) or status >= 500:
        pause = headers.get("Retry-After", "")
        raise _Failed(f"{status} {response.reason}", pause=float(pause) if pause.isdecimal() else 0.0)
    if status not in (200, 206, 416):
        raise _Failed(f"{status} {response.reason}", again=False)
    if status != 416 and headers.get("Content-Type", "").startswith("text/html"):
        raise _Failed("answers with a web page instead of the file", again=False)  # a log-in, an error page

    length = int(headers["Content-Length"]) if headers.get("Content-Length", "").isdecimal() else None
    etag = headers.get("ETag")
    new = {
        "address": address,
        "total": length,
        "etag": etag if etag and not etag.startswith("W/") else None,  # a weak one says nothing about bytes
        "modified": headers.get("Last-Modified"),
    }
    if status == 200:
        if length is None and not response.raw.chunked:
            raise _Failed("announces no length, so that a cut would pass for the end", again=False)
        return 0, new

    found = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+)", headers.get("Content-Range", ""))
    start, new["total"] = (found[1] and int(found[1]), int(found[2])) if found else (None, None)
    if status == 416 and size and new["total"] == size and card["address"] == address:
        return size, new  # the first announcement was too long
    fits = status == 206 and start == size and (length is None or start + length <= new["total"])
    if not fits or (size and not _same_file(card, new)):
        instead = "another file than the one begun" if fits else headers.get("Content-Range", "no Content-Range")
        raise _Failed(f"{status} {response.reason}: {instead} where bytes {size}- were asked for", anew=True)
    # An answer to If-Range may leave out what its sender has been told.
    return start, card if size and card["address"] == address else new


def _same_file(old: Card, new: Card) -> bool:
    """Whether both cards are of one file, as far as they can say. Mirrors may well differ in their dates."""
    keys = ["etag", "modified"] if old["address"] == new["address"] else ["etag"]
    return old["total"] == new["total"] and all(old[key] == new[key] for key in keys if old[key] and new[key])


def _reason(error: BaseException, timeout: float) -> str:
    """What went wrong below the exceptions of the two libraries, which repeat the address."""
    libraries = (requests.RequestException, urllib3.exceptions.HTTPError)
    while isinstance(error, libraries) and (below := error.__cause__ or error.__context__):
        error = below
    if isinstance(error, TimeoutError):
        return f"no answer or no bytes for {timeout:g} s"
    return _public(f"{error}" or type(error).__name__)


def _public(text: str) -> str:
    """Text without what may be secret in its addresses: user and password, and the query."""
    return re.sub(r"(//)[^/\s]*@|\?[^\s'\")]*", r"\1", text)
