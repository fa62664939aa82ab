"""Writing to standard output and to files."""

import contextlib
import io
import logging
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lpips_repro.errors import UserError
from lpips_repro.files import write_whole

STREAMS = {"-": 1, "/dev/stdout": 1, "/dev/stderr": 2}  # with their file descriptors


class _Silence:
    """What the threads inside `silent_libraries` share: their number, and where standard error leads."""

    lock = threading.Lock()
    inside = 0
    kept = -1


class _Lenient(io.FileIO):
    """A file whose writes never fail: results and status do not depend on who reads standard error."""

    def write(self, data: Any, /) -> int:
        """Write data, or drop it."""
        try:
            return super().write(data)
        except OSError:  # a closed pipe, a full disk
            return len(data)


def own_standard_error() -> None:
    """Give Python a copy of standard error, so that `silent_libraries` has no effect on what Python prints."""
    if sys.stderr is None:  # the descriptor is closed: the next file that is opened would take its number
        _redirect(2, os.devnull)
    file = io.BufferedWriter(_Lenient(os.dup(2), "w"))
    sys.stderr = io.TextIOWrapper(file, errors="backslashreplace", line_buffering=True)
    logging.getLogger("PIL").setLevel(logging.CRITICAL)  # unreadable images are errors


@contextlib.contextmanager
def silent_libraries() -> Iterator[None]:
    """A context in which libraries in C print nothing to standard error, in all threads.

    libtiff and libpng print lines about damaged files, which are one line of the command as well.
    """
    with _Silence.lock:
        _Silence.inside += 1
        if _Silence.inside == 1:
            _Silence.kept = os.dup(2)
            _redirect(2, os.devnull)
    try:
        yield
    finally:
        with _Silence.lock:
            _Silence.inside -= 1
            if not _Silence.inside:
                os.dup2(_Silence.kept, 2)
                os.close(_Silence.kept)


def _redirect(descriptor: int, target: str) -> None:
    opened = os.open(target, os.O_WRONLY)
    if opened != descriptor:  # else the descriptor was closed
        os.dup2(opened, descriptor)
        os.close(opened)


def print_output(text: str) -> None:
    """Write to standard output. It is no error if the reader, such as `head`, has closed it.

    Raises:
        UserError: if it cannot be written to, such as on a full disk, or if it is closed.
    """
    if sys.stdout is None:
        raise UserError("standard output: closed: write the results to a file with --output")
    try:
        print(text, end="", flush=True)
    except OSError as error:
        _redirect(sys.stdout.fileno(), os.devnull)  # otherwise Python fails again when it exits
        if not isinstance(error, BrokenPipeError):
            raise UserError(f"standard output: {error.strerror}") from error


def write_output(path: Path, content: str | bytes) -> None:
    """Write a file, which is either complete or unchanged.

    Pipes, devices, and the standard streams (which may lead to a file that others write to) are written to directly.

    Raises:
        UserError: if the file cannot be written, such as on a full disk.
    """
    try:
        _write(path, content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error


def _write(path: Path, data: bytes) -> None:
    if (stream := STREAMS.get(str(path))) is not None:
        with open(stream, "wb", closefd=False) as file:
            file.write(data)
    elif path.exists() and not path.is_file():
        path.write_bytes(data)
    else:
        write_whole(path.resolve(), data)
