"""What every split is: items with votes, whose images are read a batch at a time."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

Values = TypeVar("Values", bound=Any)  # of an array or a tensor


class Split(ABC):
    """Items of one kind with the answers of observers: base of packed splits and of whole images at a size.

    A subclass has `path` and `card`.

    Attributes:
        path: where it lies.
        card: always kind, phase, split, dataset, resize, observers, count, digest; `note`, if there is one, is said
            wherever its figures are shown.
        item: what an item is called; key: the column of the items' keys where they are stored.
        digest_has_votes: whether other votes are another digest.
    """

    path: Path
    card: dict[str, Any]
    item: ClassVar[str] = "example"
    key: ClassVar[str] = "index"
    digest_has_votes: ClassVar[bool] = True

    def __len__(self) -> int:
        return int(self.card["count"])

    @property
    def name(self) -> str:
        """Kind, phase and split, as in `2afc/val/cnn`."""
        return "{kind}/{phase}/{split}".format(**self.card)

    @property
    def identity(self) -> dict[str, Any]:
        """All that distances on it depend on."""
        return {"split": self.name, "split_digest": self.card["digest"], "resize": self.card["resize"]}

    @property
    def content(self) -> tuple[str, str]:
        """What the tables of it are of, by a name: other content makes other tables."""
        return self.name, f"{len(self)} examples {self.card['digest'][:12]}"

    @property
    def keys(self) -> list[str]:
        """The keys of the items, in their order."""
        return [f"{index:06d}" for index in range(len(self))]

    def has_keys(self, cells: Sequence[str]) -> bool:
        """Whether cells of a CSV are the keys of all items, in their order; ValueError if one is no number."""
        return [float(cell) for cell in cells] == [*range(len(self))]

    @property
    @abstractmethod
    def votes(self) -> np.ndarray:
        """What the observers answered (N,)."""

    @property
    @abstractmethod
    def pixels(self) -> int:
        """How many the largest image of an item has."""

    def verify(self) -> None:  # noqa: B027 (by default there is nothing to compare)
        """Raise UserError if the content is not what the card says."""

    def batches(self, start: int, size: int) -> list[range]:
        """The items from `start` on in batches that can be read, of at most `size` items each."""
        return [range(first, min(first + size, len(self))) for first in range(start, len(self), size)]

    @abstractmethod
    def read(self, items: range) -> list[np.ndarray]:
        """The images of a batch, uint8 (n, H, W, 3) each: those that the others are compared with come first."""

    def in_order(self, distances: Values, items: range) -> Values:
        """Distances of the others of a batch that was read (others, n), as one column per distance (columns, items)."""
        return distances


def content_of(splits: Sequence[Split]) -> dict[str, str]:
    """What tables of these splits are of, by name: see `Split.content`."""
    return dict(split.content for split in splits)
