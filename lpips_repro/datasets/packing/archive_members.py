"""The files of an archive, each checked before it is read, so that none leads outside the target."""

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

from lpips_repro.datasets.packed import IMAGE_FIELDS, VOTE_FIELD
from lpips_repro.datasets.packing.tar import TarStream
from lpips_repro.errors import UserError
from lpips_repro.progress import Progress

log = logging.getLogger(__name__)

# A 256x256 PNG has no more than its pixels and a little overhead.
LARGEST_MEMBER = 1 << 20
# A digest and a name of each file must fit in memory. BAPPS's largest archive has 605,200 files in three splits, with
# names of six digits.
MOST_FILES = 1_000_000
MOST_SPLITS = 16
LONGEST_NAME = 255  # what file systems allow
LAYOUT = re.compile(
    r"(2afc|jnd)/(train|val)/([\w-]{1,64})/(ref|p0|p1|judge|same)/(\w[\w.-]{0,63})\.(png|npy)", re.ASCII
)


class ArchiveError(UserError):
    """A faulty archive. The caller adds the remedy, which depends on where the file comes from."""


class Member(NamedTuple):
    """A file of the BAPPS layout: kind, phase and split; field; name without suffix; path; bytes."""

    key: tuple[str, str, str]
    field: str
    name: str
    path: str
    content: bytes


class HashingReader(io.RawIOBase):
    """A file that is hashed while it is read, with a progress bar for `task`."""

    def __init__(self, file: BinaryIO, size: int, name: str, task: str = "packing"):
        self.file, self.sha256 = file, hashlib.sha256()
        self.bar = Progress(total=size, desc=f"{task} {name}", unit="B", unit_scale=True)

    def readable(self) -> bool:
        """True."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes of the file."""
        data = self.file.read(size)
        self.sha256.update(data)
        self.bar.update(len(data))
        return data

    def close(self) -> None:
        """Close the progress bar, not the file."""
        self.bar.close()
        super().close()


def read_members(reader: BinaryIO | HashingReader, archive: Path, prefix: str) -> Iterator[Member]:
    """Yield each file of the BAPPS layout in a tar.gz. It reads the archive to its last byte. Other files are skipped.

    Args:
        reader: reads the archive; archive: its path, for messages.
        prefix: prefix of its members' names in the layout, such as "2afc/".

    Raises:
        ArchiveError: if the archive is damaged or truncated; or if a member's name is absolute, too long or has "..",
            or if the member is a link, device or sparse, comes twice or is larger than any image. The message names it.
    """
    try:
        # gzip checks the CRC at the end.
        with gzip.GzipFile(fileobj=reader, mode="rb") as unzipped:
            yield from _members(TarStream(unzipped), archive, prefix)
    except ArchiveError:
        raise
    except UserError as error:
        raise ArchiveError(f"{archive}: {error}: refused") from error
    # ValueError: from malformed headers.
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError) as error:
        raise ArchiveError(f"{archive}: damaged or truncated ({error})") from error


def _members(tar: TarStream, archive: Path, prefix: str) -> Iterator[Member]:
    seen: set[bytes] = set()  # digests of paths
    splits: set[tuple[str, str, str]] = set()
    skipped = 0
    for member in tar:
        path = _checked_path(member, prefix)
        if member.isdir():
            continue
        digest = hashlib.blake2b(path.encode("utf-8", "surrogateescape"), digest_size=16).digest()
        if digest in seen:
            raise UserError(f"member {member.name!r} comes twice")
        seen.add(digest)
        if len(seen) > MOST_FILES:
            raise UserError(f"more than {MOST_FILES} files")
        match = LAYOUT.fullmatch(path)
        if not match or _suffix_is_wrong(match[1], match[4], match[6]):
            skipped += 1
            continue
        if member.size > LARGEST_MEMBER:
            raise UserError(f"member {member.name!r} has {member.size} bytes: at most {LARGEST_MEMBER} allowed")
        key = (match[1], match[2], match[3])
        splits.add(key)
        if len(splits) > MOST_SPLITS:
            raise UserError(f"member {member.name!r}: more than {MOST_SPLITS} splits")
        yield Member(key, match[4], match[5], path, tar.read())
    if skipped:
        log.warning("%s: skipped %d files that are not in the BAPPS layout", archive, skipped)


def _checked_path(member: tarfile.TarInfo, prefix: str) -> str:
    """The member's path in the layout; UserError if it is not a plain file or folder inside it."""
    if len(member.name) > LONGEST_NAME:
        raise UserError(
            f"member {member.name[:40]!r}... has a name of {len(member.name)} characters:"
            f" at most {LONGEST_NAME} allowed"
        )
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\\" in member.name or "\0" in member.name:
        raise UserError(f"member {member.name!r} leads outside the target")
    if member.type == tarfile.GNUTYPE_SPARSE:
        raise UserError(f"member {member.name!r} is sparse")
    if not (member.isreg() or member.isdir()):
        raise UserError(f"member {member.name!r} is a link or device")
    return prefix + str(path)


def _suffix_is_wrong(kind: str, name: str, suffix: str) -> bool:
    return (suffix == "npy") != (name == VOTE_FIELD[kind]) or (suffix == "png") != (name in IMAGE_FIELDS[kind])
