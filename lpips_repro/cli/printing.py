"""Writing to standard output and to files."""

import os
import sys
from pathlib import Path

from lpips_repro.errors import UserError
from lpips_repro.files import write_whole

INTERRUPTED = 130  # the exit status of a program that Ctrl-C ended
STREAMS = {"/dev/stdout": 1, "/dev/stderr": 2}  # with their file descriptors


def print_output(text: str) -> None:
    """Write to standard output. It is no error if the reader, such as `head`, has closed it.

    Raises:
        UserError: if it cannot be written to, such as on a full disk.
    """
    try:
        print(text, end="", flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # otherwise Python fails again when it exits
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
