"""The files of an archive, one after the other, each checked before it is read: nothing can lead outside the target."""

import gzip
import hashlib
import io
import logging
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from tqdm import tqdm

from lpips_repro.datasets.packed import IMAGE_FIELDS, VOTE_FIELD
from lpips_repro.errors import UserError

log = logging.getLogger(__name__)

# A 256x256 PNG can hold no more than its pixels and a little overhead.
LARGEST_MEMBER = 1 << 20
# Long names and other extension headers, which tarfile reads whole.
EXTENSIONS = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)
LARGEST_EXTENSION = 1 << 16
LAYOUT = re.compile(r"(2afc|jnd)/(train|val)/([^/]+)/(ref|p0|p1|judge|same)/([^/.][^/]*)\.(png|npy)")


class Member(NamedTuple):
    """A file of the BAPPS layout: kind, phase and split; its field; its name without suffix; its path; its bytes."""

    key: tuple[str, str, str]
    field: str
    name: str
    path: str
    content: bytes


class HashingReader(io.RawIOBase):
    """A file that is hashed and counted on a progress bar as it is read; the bar says what for."""

    def __init__(self, file: BinaryIO, size: int, name: str, task: str = "packing"):
        self.file, self.sha256 = file, hashlib.sha256()
        self.bar = tqdm(total=size, desc=f"{task} {name}", unit="B", unit_scale=True, disable=None)

    def readable(self) -> bool:
        """As every file to be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """As a file's."""
        data = self.file.read(size)
        self.sha256.update(data)
        self.bar.update(len(data))
        return data

    def close(self) -> None:
        """End the progress bar; the file is its owner's."""
        self.bar.close()
        super().close()


class _Header(tarfile.TarInfo):
    """A header that refuses to announce an extension of any size."""

    @classmethod
    def frombuf(cls, buf: bytes, encoding: str, errors: str) -> tarfile.TarInfo:
        header = super().frombuf(buf, encoding, errors)
        if header.type in EXTENSIONS and header.size > LARGEST_EXTENSION:
            raise UserError(
                f"member {header.name!r} is an extension header of {header.size} bytes:"
                f" at most {LARGEST_EXTENSION} allowed"
            )
        return header


def read_members(reader: BinaryIO, archive: Path, prefix: str) -> Iterator[Member]:
    """Every file of the BAPPS layout in a tar.gz, to the last byte of the archive; other files are passed over.

    Args:
        reader: reads the archive; archive: its path, for messages.
        prefix: what stands before its members' names in the layout, such as "2afc/".

    Raises:
        UserError: for a damaged or truncated archive; for a member with an absolute name or one with "..", that is a
            link or device, comes twice or is larger than an image can be: its name is told.
    """
    seen: set[str] = set()
    passed = 0
    try:
        # gzip and not tarfile undoes the compression: it checks the CRC at the end.
        with (
            gzip.GzipFile(fileobj=reader, mode="rb") as unzipped,
            tarfile.open(fileobj=unzipped, mode="r|", tarinfo=_Header) as tar,
        ):
            for member in tar:
                tar.members.clear()  # or it remembers them all
                path = _checked_path(archive, member, prefix)
                if path in seen and not member.isdir():
                    raise UserError(f"{archive}: member {member.name!r} comes twice: refused")
                seen.add(path)
                match = LAYOUT.fullmatch(path)
                if member.isdir() or not match or _suffix_is_wrong(match[1], match[4], match[6]):
                    passed += not member.isdir()
                    continue
                content = tar.extractfile(member).read()
                yield Member((match[1], match[2], match[3]), match[4], match[5], path, content)
            while unzipped.read(1 << 20):  # to the end, where the CRC stands
                pass
    except UserError as error:
        raise UserError(str(error) if str(archive) in str(error) else f"{archive}: {error}: refused") from error
    # ValueError: what tarfile raises on malformed extension headers.
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError) as error:
        raise UserError(
            f"{archive}: damaged or truncated ({error}): delete it and run the command again to fetch it anew"
        ) from error
    if passed:
        log.warning("%s: passed over %d files that are not of the BAPPS layout", archive, passed)


def _checked_path(archive: Path, member: tarfile.TarInfo, prefix: str) -> str:
    """The member's path in the layout; UserError where it is anything but a plain file or folder inside it."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\\" in member.name or "\0" in member.name:
        raise UserError(f"{archive}: member {member.name!r} leads outside: refused")
    if not (member.isreg() or member.isdir()) or member.issparse():
        raise UserError(f"{archive}: member {member.name!r} is a link or device: refused")
    if member.size > LARGEST_MEMBER:
        raise UserError(f"{archive}: member {member.name!r} has {member.size} bytes: at most {LARGEST_MEMBER} allowed")
    return prefix + str(path)


def _suffix_is_wrong(kind: str, name: str, suffix: str) -> bool:
    return (suffix == "npy") != (name == VOTE_FIELD[kind]) or (suffix == "png") != (name in IMAGE_FIELDS[kind])
