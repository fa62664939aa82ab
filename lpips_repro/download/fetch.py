"""Resumable download of an archive from its mirrors.

A request asks for the missing bytes (Range), on condition that the mirror's file is still the same (If-Range). Received
bytes are written to disk at once (see partial_download.py), so that they survive a kill -9. If a mirror sends the file
from its beginning instead, the kept bytes stay until the new ones are more. A file that cannot be the archive (not
gzip, or far too small or large) is refused, and the next mirror is tried.
"""

import itertools
import logging
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import urllib3

from lpips_repro.config.addresses import public
from lpips_repro.config.secrets import whole_mirrors
from lpips_repro.download.http_responses import Failed, accept, check_size, not_gzip, reason, take_head
from lpips_repro.download.mirrors import file_address, local_folder, without_secrets
from lpips_repro.download.partial_download import PartialDownload
from lpips_repro.download.redirects import open_address
from lpips_repro.errors import UserError
from lpips_repro.progress import Progress

log = logging.getLogger(__name__)

CHUNK = 1 << 20
LONGEST_PAUSE = 60.0  # seconds, between two attempts


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
    """The file of an archive: from `folder`, from a local mirror, or downloaded to `folder`.

    Only one process at a time may use `folder`. The download of an earlier call is resumed.

    Args:
        name: file name of the archive, such as "jnd.tar.gz".
        mirrors: mirrors in order of preference: see `mirrors.py`. Files of local mirrors are used in place, before any
            download.
        folder: the folder of downloads.
        needed_bytes: the published size, rounded; 0: not known. This much disk space is required, or more if a mirror
            announces a larger length. Files of less than half or more than twice this size are refused.
        timeout: seconds without an answer or a byte after which an attempt fails.
        attempts: attempts in a row without new bytes after which the next mirror is tried.
        backoff: seconds before the second attempt; they double with each attempt.

    Raises:
        UserError: if no mirror has the file (with the answer of each), or if the disk is full. Received bytes are kept.
    """
    if name in ("", ".", "..") or "/" in name or "\\" in name:
        raise ValueError(f"name={name!r}: expected a file name without a folder")
    target, part_file = folder / name, folder / f"{name}.part"
    if target.is_file():
        log.info("%s: already complete", target)
        return target
    answers = []
    # Local mirrors first. The sort is stable.
    for mirror in sorted(whole_mirrors(mirrors), key=lambda mirror: local_folder(mirror) is None):
        if (local := local_folder(mirror)) is not None:
            file = local / name
            answer = _refusal(file, PartialDownload(part_file, needed_bytes))
            if answer is None:
                log.info("%s: used in place", file)
                return file
            log.warning("%s: %s", file, answer)
            answers.append(f"{file}: {answer}")
            continue
        url = file_address(mirror, name)
        with PartialDownload(part_file, needed_bytes) as part:
            answer = _download(url, part, timeout, attempts, backoff)
            if answer is None:
                part.finish(target)
                log.info("%s: complete, %d bytes", target, target.stat().st_size)
                return target
        answers.append(f"{public(url)}: {answer}")
    said = "; ".join(answers or ["data.mirrors is empty"])
    raise UserError(
        f"{name}: not available from any mirror: {said}; {PartialDownload(part_file, needed_bytes).status()}:"
        f' add a mirror with ARGS="data.mirrors=[URL,...]" or put the file into {folder}'
    )


def _refusal(file: Path, part: PartialDownload) -> str | None:
    """The reason why the file of a local mirror cannot be used, or None."""
    try:
        if not file.is_file():
            return "no such file"
        with file.open("rb") as content:
            if wrong := not_gzip(content.read(1024)):
                return wrong
        check_size(file.stat().st_size, part)
    except Failed as error:
        return str(error)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return None


def _download(url: str, part: PartialDownload, timeout: float, attempts: int, backoff: float) -> str | None:
    """Complete `part` from one mirror; return None, or the mirror's last answer if it failed."""
    failures = 0
    from_start = False
    while True:
        (size, card), restarts = part.begun, part.restarts
        if size and size == card["total"]:
            return None
        if no_space := _lack_of_space(part, part.published):
            raise UserError(no_space)
        try:
            _attempt(url, part, timeout, from_start)
            return None
        except Failed as error:
            failed = error
        except (OSError, urllib3.exceptions.HTTPError) as error:
            # ValueError: the address cannot be requested at all.
            failed = Failed(reason(error, timeout), again=not isinstance(error, ValueError))
        said = without_secrets(str(failed), url)
        if part.restarts == restarts:
            failures = 0 if part.begun[0] > size else failures + 1
        from_start = failed.from_start or (from_start and (part.restarts, part.begun[0]) == (restarts, size))
        # All restarts count, so that a mirror that always starts over does not run forever.
        spent = failures + part.restarts
        kept, _ = part.kept
        if not failed.again or spent >= attempts:
            log.warning("%s: %s; %d bytes are kept; no more attempts with this mirror", public(url), said, kept)
            return said
        pause = min(max(failed.pause, backoff * 2 ** max(spent - 1, 0)), LONGEST_PAUSE)
        log.warning("%s: %s; %d bytes are kept; next attempt in %.1f s", public(url), said, kept, pause)
        time.sleep(pause)


def _lack_of_space(part: PartialDownload, total: int) -> str | None:
    """The error if the disk has too little space for the rest of a file of `total` bytes; otherwise None."""
    folder, needed = part.path.parent, part.room(total, from_start=False)
    free = shutil.disk_usage(folder).free
    if free >= needed:
        return None
    return (
        f"{folder}: {free / 1e9:.2f} GB free: downloading {part.path.stem} needs {needed / 1e9:.2f} GB: free some"
        " space, or set another folder with data.archives"
    )


def _attempt(url: str, part: PartialDownload, timeout: float, from_start: bool) -> None:
    """Request the missing bytes of `part` once, and write them. Return if the file is complete; otherwise raise."""
    size, card = (0, {}) if from_start else part.begun
    headers = {"Accept-Encoding": "identity"}  # so that lengths and ranges are those of the file
    if not from_start:
        headers["Range"] = f"bytes={size}-"  # also from 0: the answer then has the file's length twice
    if size and card["address"] == public(url) and (card["etag"] or card["modified"]):
        headers["If-Range"] = card["etag"] or card["modified"]
    with open_address(url, headers, timeout) as response:
        start, new = accept(response, size, card, public(url))
        total = new["total"]
        if start == total and start:
            check_size(total, part)
            return
        # Not read(), which loses a partial chunk if the connection breaks. Not decoded: some servers call a .gz file an
        # encoding of its content.
        chunks = iter(lambda: response.raw.read1(CHUNK, decode_content=False), b"")
        if not start:
            chunks = itertools.chain([take_head(chunks, response, total, part)], chunks)
        if not start and part.kept[0]:
            _start_over(url, part, total)
        elif no_space := _lack_of_space(part, max(part.published, total or 0)):
            raise Failed(no_space, again=False)  # another mirror may announce less
        file = part.open(start, new)
        bar = Progress(total=total, initial=start, desc=part.path.stem, unit="B", unit_scale=True)
        with file, bar:
            for chunk in chunks:
                end = file.tell() + len(chunk)
                if total is not None and end > total:
                    raise Failed(f"sent more than the {total} bytes announced")
                if end > part.most:  # without a length it may never end
                    check_size(end, part)
                part.write(file, chunk)
                bar.update(len(chunk))
            if total is not None and file.tell() < total:
                raise Failed(f"ended at {file.tell()} of {total} bytes")
            check_size(file.tell(), part)  # if no length was announced


def _start_over(url: str, part: PartialDownload, total: int | None) -> None:
    """Warn that a mirror sends the file from its beginning; raise Failed if there is too little space."""
    kept, _ = part.kept
    free = shutil.disk_usage(part.path.parent).free
    if free < part.room(max(part.published, total or 0), from_start=True):  # another mirror may resume the kept bytes
        raise Failed(
            f"sends the file from its beginning, for which there is too little space next to the {kept} bytes kept"
            f" ({free / 1e9:.2f} GB free)",
            again=False,
        )
    log.warning("%s: sends the file from its beginning: starting over; %d bytes are still kept", public(url), kept)
