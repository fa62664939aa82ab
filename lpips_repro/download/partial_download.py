"""What there is of a file that is being fetched: no kill and no mirror that fails makes it less.

    NAME.part        its bytes so far
    NAME.part.json   the card, of which file they are: address, total (length), etag, modified
    NAME.part.new    what has come of it once more from its beginning, until that is more than NAME.part holds

The card is written after the file it stands beside is begun, so that it never speaks of another file's bytes. Where
NAME.part.new takes the place of NAME.part, the card says so ("moving") before and until it has.
"""

import contextlib
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Self

from lpips_repro.errors import UserError
from lpips_repro.files import write_whole

Card = dict[str, Any]
GZIP = b"\x1f\x8b\x08"  # how every gzip file begins


class PartialDownload:
    """A file that is being fetched, by one process at a time; within `with` it can be written.

    Attributes:
        path: NAME.part.
        published: the file's size as published, rounded; 0: not known.
        least, most: a file of fewer or more bytes cannot be the one published.
        restarts: how often the file was begun again although some of it was kept.
    """

    def __init__(self, path: Path, published: int = 0) -> None:
        self.path, self.restarts = path, 0
        self.published = published
        self.least, self.most = published // 2, 2 * published or math.inf  # published in unknown units, too
        self._new, self._card_file = path.with_name(f"{path.name}.new"), path.with_name(f"{path.name}.json")
        self._new_card: Card | None = None  # not None: the next bytes belong into NAME.part.new
        self._to_beat = 0

    def __enter__(self) -> Self:
        with self._writing():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._settle()
        return self

    def __exit__(self, *raised: object) -> None:
        with self._writing():
            self._settle()

    @property
    def kept(self) -> tuple[int, Card]:
        """How many bytes are kept that can be resumed, and their card; (0, {}) where there are none."""
        card = self._read_card()
        moving = "moving" in card and self._new.exists()
        return self._resumable(self._new if moving else self.path, card)

    @property
    def begun(self) -> tuple[int, Card]:
        """As `kept`, of what the next request goes on with: of NAME.part.new where there is one."""
        return self.kept if self._new_card is None else self._resumable(self._new, self._new_card)

    def told(self) -> str:
        """What is kept, for an error message."""
        size, _ = self.kept
        if not size:
            return "nothing came that the next run could resume"
        return f"the {size} bytes that came are kept in {self.path}, and the next run resumes there"

    def room(self, total: int, *, from_start: bool) -> int:
        """The free disk space that a file of `total` bytes still needs; more if it comes from its beginning."""
        if not from_start and self._new_card is None:
            return total - _size(self.path)
        kept, _ = self.kept
        # Both until the new one is the longer, then it alone.
        return max(kept, total - kept) - _size(self._new)

    def open(self, start: int, card: Card) -> BinaryIO:
        """The file to write to from byte `start`: the size that is begun, or 0 to begin again."""
        # Unbuffered: a byte counts as fetched only when it is in the file.
        with self._writing():
            kept, _ = self.kept
            if kept and not start:
                self.restarts += 1
                self._new_card, self._to_beat = card, kept
                return self._new.open("wb", buffering=0)
            if self._new_card is not None:
                self._new_card = card
                return self._new.open("ab", buffering=0)
            file = self.path.open("ab" if start else "wb", buffering=0)
            self._write_card(card)
            return file

    def write(self, file: BinaryIO, chunk: bytes) -> None:
        """Write to what `open` returned."""
        rest = memoryview(chunk)
        with self._writing():
            while rest:
                rest = rest[file.write(rest) :]
            # One of unknown length could not be resumed: it is no better than what is kept before it is complete.
            if self._new_card is not None and self._new_card["total"] is not None and file.tell() > self._to_beat:
                self._take_place(self._new_card)

    def finish(self, target: Path) -> None:
        """Make the file, which is complete, the target."""
        with self._writing():
            if self._new_card is not None:
                self._take_place(self._new_card)
            with self.path.open("rb+") as file:
                os.fsync(file.fileno())
            self.path.replace(target)
            self._card_file.unlink(missing_ok=True)

    def _take_place(self, card: Card) -> None:
        self._write_card({**card, "moving": True})  # from here on NAME.part.new is what counts
        self._settle()

    def _settle(self) -> None:
        """Complete a change of place, be it that of a killed run; any other NAME.part.new has less than is kept."""
        card = self._read_card()
        if card.pop("moving", False):
            if self._new.exists():
                self._new.replace(self.path)
            self._write_card(card)
        self._new.unlink(missing_ok=True)
        self._new_card = None

    def _resumable(self, file: Path, card: Card) -> tuple[int, Card]:
        """`kept` of a file; what an error page left of itself is none of the archive's."""
        if {"address", "total", "etag", "modified"} <= card.keys() and isinstance(card["total"], int):
            size = _size(file)
            if self.least <= card["total"] <= self.most and size <= card["total"] and _begins_as_gzip(file):
                return size, card
        return 0, {}

    def _read_card(self) -> Card:
        try:
            card = json.loads(self._card_file.read_text())
        except (OSError, ValueError):
            return {}
        return card if isinstance(card, dict) else {}

    def _write_card(self, card: Card) -> None:
        write_whole(self._card_file, json.dumps(card) + "\n")

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(
                f"{self.path}: cannot be written ({error.strerror or error}): {self.told()}: free some space, or set"
                " another folder with data.archives"
            ) from error


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _begins_as_gzip(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as content:
        return content.read(len(GZIP)) == GZIP
