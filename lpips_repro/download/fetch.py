"""Fetching an archive from its mirrors, resumably.

A mirror is asked for the bytes that are still missing (Range), on condition that its file is still the one begun
(If-Range). What comes is on disk at once (see partial_download.py), so that nothing of it is lost after a kill -9
either. Where a mirror sends the file from its beginning all the same, what is kept stays until that has brought more.
What cannot be the archive (no gzip file, or far too small or large) is not taken from any mirror: the next one is
asked.
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
    """The archive as a file here: the one in `folder`, one of a local mirror, or downloaded into `folder`.

    One process at a time may use `folder`. What an earlier call left there is resumed.

    Args:
        name: file name, such as "jnd.tar.gz".
        mirrors: in order of preference, see `mirrors.py`. The file of a local mirror is used where it is, and before
            any is downloaded.
        folder: where downloads go.
        needed_bytes: the size published, rounded: the disk space to begin with, unless a larger length is announced;
            a mirror's file of less than half or more than twice of it is refused. 0: not known.
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
    # Stable: else in their order.
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
    said = "; ".join(answers or ["there is none in data.mirrors"])
    raise UserError(
        f"{name}: no mirror gave it: {said}; {PartialDownload(part_file, needed_bytes).told()}:"
        f' add a mirror with ARGS="data.mirrors=[URL,...]" or put the file into {folder}'
    )


def _refusal(file: Path, part: PartialDownload) -> str | None:
    """Why the file of a local mirror cannot be used, or None."""
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
    """Complete `part` from one mirror; returns None, or what the mirror said last where that failed."""
    failures = 0
    from_start = False
    while True:
        (size, card), restarts = part.begun, part.restarts
        if size and size == card["total"]:
            return None
        if lack := _lack_of_space(part, part.published):
            raise UserError(lack)
        try:
            _attempt(url, part, timeout, from_start)
            return None
        except Failed as error:
            failed = error
        except (OSError, urllib3.exceptions.HTTPError) as error:
            # ValueError: an address that cannot be requested at all.
            failed = Failed(reason(error, timeout), again=not isinstance(error, ValueError))
        said = without_secrets(str(failed), url)
        if part.restarts == restarts:
            failures = 0 if part.begun[0] > size else failures + 1
        from_start = failed.from_start or (from_start and (part.restarts, part.begun[0]) == (restarts, size))
        # Restarts are never forgotten: a mirror that starts over each time must not go on for ever.
        spent = failures + part.restarts
        kept, _ = part.kept
        if not failed.again or spent >= attempts:
            log.warning("%s: %s; %d bytes are kept, this mirror is given up", public(url), said, kept)
            return said
        pause = min(max(failed.pause, backoff * 2 ** max(spent - 1, 0)), LONGEST_PAUSE)
        log.warning("%s: %s; %d bytes are kept, next attempt in %.1f s", public(url), said, kept, pause)
        time.sleep(pause)


def _lack_of_space(part: PartialDownload, total: int) -> str | None:
    """What to say where the disk has no room for the rest of a file of `total` bytes, else None."""
    folder, needed = part.path.parent, part.room(total, from_start=False)
    free = shutil.disk_usage(folder).free
    if free >= needed:
        return None
    return (
        f"{folder}: {free / 1e9:.2f} GB free: downloading {part.path.stem} needs {needed / 1e9:.2f} GB: free some"
        " space, or set another folder with data.archives"
    )


def _attempt(url: str, part: PartialDownload, timeout: float, from_start: bool) -> None:
    """Request what is missing of `part` once and write what comes; returns when the file is complete."""
    size, card = (0, {}) if from_start else part.begun
    headers = {"Accept-Encoding": "identity"}  # lengths and ranges are then those of the file
    if not from_start:
        headers["Range"] = f"bytes={size}-"  # from 0 too: the answer to it names the file's length twice
    if size and card["address"] == public(url) and (card["etag"] or card["modified"]):
        headers["If-Range"] = card["etag"] or card["modified"]
    with open_address(url, headers, timeout) as response:
        start, new = accept(response, size, card, public(url))
        total = new["total"]
        if start == total and start:
            check_size(total, part)
            return
        # Not read(), which loses what it has of a chunk when the connection breaks; and as sent: servers that take a
        # .gz for an encoding of its content would have it decoded.
        chunks = iter(lambda: response.raw.read1(CHUNK, decode_content=False), b"")
        if not start:
            chunks = itertools.chain([take_head(chunks, response, total, part)], chunks)
        if not start and part.kept[0]:
            _start_over(url, part, total)
        elif lack := _lack_of_space(part, max(part.published, total or 0)):
            raise Failed(lack, again=False)  # what one mirror announces does not stop the others
        file = part.open(start, new)
        bar = Progress(total=total, initial=start, desc=part.path.stem, unit="B", unit_scale=True)
        with file, bar:
            for chunk in chunks:
                end = file.tell() + len(chunk)
                if total is not None and end > total:
                    raise Failed(f"sent more than the {total} bytes announced")
                if end > part.most:  # without a length it might never end
                    check_size(end, part)
                part.write(file, chunk)
                bar.update(len(chunk))
            if total is not None and file.tell() < total:
                raise Failed(f"ended at {file.tell()} of {total} bytes")
            check_size(file.tell(), part)  # where none was announced


def _start_over(url: str, part: PartialDownload, total: int | None) -> None:
    """Say that a mirror sends the file from its beginning; raises where there is no room for that."""
    kept, _ = part.kept
    free = shutil.disk_usage(part.path.parent).free
    if free < part.room(
        max(part.published, total or 0), from_start=True
    ):  # the next mirror may go on from what is kept
        raise Failed(
            f"sends the file from its beginning, for which there is no room beside the {kept} bytes kept"
            f" ({free / 1e9:.2f} GB free)",
            again=False,
        )
    log.warning("%s: the file comes from its beginning: starting over beside the %d bytes kept", public(url), kept)
