"""The downloaded part of a file. Neither a kill nor a failing mirror makes it smaller.

    NAME.part        its bytes so far
    NAME.part.json   the card, which identifies the file: address, total (length), etag, modified
    NAME.part.new    its bytes from a new start, until they are more than in NAME.part

The card is written after its file is begun, so that it never describes bytes of another file. While NAME.part.new
replaces NAME.part, the card has the entry "moving".
"""

import contextlib
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Self

from lpips_repro.errors import UserError
from lpips_repro.files import read_json, write_whole

Card = dict[str, Any]
TEXTS = ("address", "etag", "modified")  # of a card; null if the server did not say
GZIP = b"\x1f\x8b\x08"  # the first bytes of a gzip file


class PartialDownload:
    """A file that one process downloads. It can be written inside a `with` block.

    Attributes:
        path: NAME.part.
        published: the published size, rounded; 0: not known.
        least, most: bounds of the size of the published file.
        restarts: number of downloads from the beginning although bytes were kept.
    """

    def __init__(self, path: Path, published: int = 0) -> None:
        self.path, self.restarts = path, 0
        self.published = published
        self.least, self.most = published // 2, 2 * published or math.inf  # the published unit is unknown
        self._new, self._card_file = path.with_name(f"{path.name}.new"), path.with_name(f"{path.name}.json")
        self._new_card: Card | None = None  # not None: the next bytes go to NAME.part.new
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
        """The number of kept bytes that can be resumed, and their card; (0, {}) if there are none."""
        card = self._read_card()
        moving = "moving" in card and self._new.exists()
        return self._resumable(self._new if moving else self.path, card)

    @property
    def begun(self) -> tuple[int, Card]:
        """As `kept`, for the file that the next request continues: NAME.part.new if there is one."""
        return self.kept if self._new_card is None else self._resumable(self._new, self._new_card)

    def status(self) -> str:
        """The number of kept bytes, as text for an error message."""
        size, _ = self.kept
        if not size:
            return "no bytes were received that the next run can resume"
        return f"{size} bytes are kept in {self.path}, and the next run resumes there"

    def room(self, total: int, *, from_start: bool) -> int:
        """The disk space that a file of `total` bytes still needs, which is more from its beginning."""
        if not from_start and self._new_card is None:
            return total - _size(self.path)
        kept, _ = self.kept
        # Both files until the new one is longer, then only the new one.
        return max(kept, total - kept) - _size(self._new)

    def open(self, start: int, card: Card) -> BinaryIO:
        """The file to write to from byte `start`: the size of `begun`, or 0 to start over."""
        # Unbuffered: a byte counts as downloaded only when it is in the file.
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
        """Write a chunk to the file that `open` returned."""
        rest = memoryview(chunk)
        with self._writing():
            while rest:
                rest = rest[file.write(rest) :]
            # A file of unknown length cannot be resumed, so that it replaces kept bytes only when it is complete.
            if self._new_card is not None and self._new_card["total"] is not None and file.tell() > self._to_beat:
                self._take_place(self._new_card)

    def finish(self, target: Path) -> None:
        """Move the complete file to `target`."""
        with self._writing():
            if self._new_card is not None:
                self._take_place(self._new_card)
            with self.path.open("rb+") as file:
                os.fsync(file.fileno())
            self.path.replace(target)
            self._card_file.unlink(missing_ok=True)

    def _take_place(self, card: Card) -> None:
        self._write_card({**card, "moving": True})  # from now on NAME.part.new counts
        self._settle()

    def _settle(self) -> None:
        """Complete a replacement, also of a killed run; remove any other NAME.part.new, which has fewer bytes."""
        card = self._read_card()
        if card.pop("moving", False):
            if self._new.exists():
                self._new.replace(self.path)
            self._write_card(card)
        self._new.unlink(missing_ok=True)
        self._new_card = None

    def _resumable(self, file: Path, card: Card) -> tuple[int, Card]:
        """As `kept`, for one file. Bytes of an error page do not count."""
        if {"address", "total", "etag", "modified"} <= card.keys() and isinstance(card["total"], int):
            size = _size(file)
            if self.least <= card["total"] <= self.most and size <= card["total"] and _begins_as_gzip(file):
                return size, card
        return 0, {}

    def _read_card(self) -> Card:
        try:
            card = read_json(self._card_file)
        except (OSError, ValueError):
            return {}
        is_card = isinstance(card, dict) and all(isinstance(card.get(key) or "", str) for key in TEXTS)
        return card if is_card else {}

    def _write_card(self, card: Card) -> None:
        write_whole(self._card_file, json.dumps(card) + "\n")

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(
                f"{self.path}: cannot be written ({error.strerror or error}): {self.status()}: free some space, or set"
                " another folder with data.archives"
            ) from error


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _begins_as_gzip(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as content:
        return content.read(len(GZIP)) == GZIP
