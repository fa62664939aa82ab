"""Strict reading of a tar stream, with a small limit on memory.

The standard library's `tarfile` treats a damaged header as the end of the archive, and reads sparse maps and chains of
extension headers of any length before its caller can refuse them. Here it decodes single headers only.
"""

import gzip
import tarfile
from collections.abc import Iterator
from typing import BinaryIO

from lpips_repro.errors import UserError

BLOCK = tarfile.BLOCKSIZE
PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
# They hold fields that are too long for the header after them, such as names.
EXTENSIONS = (*PAX, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
LARGEST_EXTENSION = 1 << 16
MOST_EXTENSIONS = 8  # before one member; archives need at most half as many
READ = 1 << 20


class TarStream:
    """An iterator over the headers of a tar stream. A member can be read until the next step.

    Raises:
        tarfile.TarError, EOFError, ValueError: if the stream is damaged or truncated.
        UserError: if extension headers are too large or too many.
    """

    def __init__(self, stream: BinaryIO | gzip.GzipFile) -> None:
        self._stream, self._size, self._left = stream, 0, 0

    def __iter__(self) -> Iterator[tarfile.TarInfo]:
        while (member := self._next_header()) is not None:
            # No other type is followed by content.
            self._size = member.size if member.isreg() else 0
            self._left = _padded(self._size)
            yield member
            while self._left:
                self._left -= len(self._take(min(self._left, READ)))

    def read(self) -> bytes:
        """The whole content of the current member."""
        content, self._left = self._take(self._left), 0
        return content[: self._size]

    def _next_header(self) -> tarfile.TarInfo | None:
        """The next member's header with its extensions applied; None at the end, after reading to the last byte."""
        extended: dict[str, str] = {}
        for number in range(MOST_EXTENSIONS + 1):
            block = self._take(BLOCK)
            if _is_zero(block):
                if number:
                    raise tarfile.ReadError("an extension header at its end")
                self._read_end()
                return None
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
            if header.type not in EXTENSIONS:
                header = _complete(header, extended)
            if header.size < 0:
                raise tarfile.ReadError("a header with a negative size")
            if header.type not in EXTENSIONS:
                return header
            if header.size > LARGEST_EXTENSION:
                raise UserError(
                    f"member {header.name!r} is an extension header of {header.size} bytes:"
                    f" at most {LARGEST_EXTENSION} allowed"
                )
            content = self._take(_padded(header.size))[: header.size]
            if header.type == tarfile.GNUTYPE_LONGNAME:
                extended["path"] = content.partition(b"\0")[0].decode("utf-8", "surrogateescape")
            elif header.type in PAX:
                extended |= _records(content)
        raise UserError(f"member {header.name!r}: more than {MOST_EXTENSIONS} extension headers in a row")

    def _read_end(self) -> None:
        while block := self._stream.read(READ):
            if not _is_zero(block):
                raise tarfile.ReadError("more after its end")

    def _take(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) < size:
            raise EOFError("it ends without an end-of-archive mark")
        return data


def _is_zero(block: bytes) -> bool:
    return block.count(0) == len(block)


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _complete(header: tarfile.TarInfo, said: dict[str, str]) -> tarfile.TarInfo:
    header.name = said.get("GNU.sparse.name", said.get("path", header.name))
    if header.isdir():
        header.name = header.name.rstrip("/")
    header.size = int(said.get("size", header.size))
    if any(key.startswith("GNU.sparse.") for key in said):
        header.type = tarfile.GNUTYPE_SPARSE
    return header


def _records(content: bytes) -> dict[str, str]:
    """The records of a pax extension header, lines of the form `LENGTH KEY=VALUE`."""
    records, start = {}, 0
    while start < len(content):
        space = content.find(b" ", start, start + 8)
        end = start + int(content[start:space]) if space > start else start
        key, equals, value = content[space + 1 : end - 1].partition(b"=")
        if not space < end <= len(content) or content[end - 1 : end] != b"\n" or not equals:
            raise tarfile.ReadError("a malformed extension header")
        records[key.decode("utf-8", "surrogateescape")] = value.decode("utf-8", "surrogateescape")
        start = end
    return records
