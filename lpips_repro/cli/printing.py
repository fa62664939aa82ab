"""Where the command writes to."""

import os
import sys
from pathlib import Path

from lpips_repro.errors import UserError
from lpips_repro.files import write_whole

INTERRUPTED = 130  # the exit status of a program that Ctrl-C ended
STREAMS = {"/dev/stdout": 1, "/dev/stderr": 2}  # and their descriptors


def one_line(text: str) -> str:
    """A text whose line breaks and other characters that cannot be printed, as names of files may have, are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def print_output(text: str) -> None:
    """Write to standard output; a reader that has closed it, such as `head`, has all that it wants."""
    try:
        print(text, end="", flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python fails once more at its end
        if not isinstance(error, BrokenPipeError):
            raise UserError(f"standard output: {error.strerror}") from error


def write_output(path: Path, content: str | bytes) -> None:
    """Write a file as a whole; what is no regular file, such as /dev/null or a pipe, is written to directly.

    So is a stream of this process: it may lead to a file that others write into as well.

    Raises:
        UserError: if it cannot be written, such as on a full disk.
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
