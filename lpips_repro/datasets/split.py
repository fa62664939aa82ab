"""The base class of splits: items with votes, whose images are read in batches."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

from lpips_repro.files import finite_number

Values = TypeVar("Values", bound=Any)  # an array or a tensor


class Split(ABC):
    """Items of one kind with the answers of observers.

    A subclass has `path` and `card`.

    Attributes:
        path: its folder.
        card: kind, phase, split, dataset, resize, observers, count, digest and others; an optional `note` is shown with
            all figures on the split.
        item: the word for an item; key: the column of the items' keys in stored files.
        digest_has_votes: whether the digest depends on votes.
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
        """Everything about the split that distances depend on."""
        return {"split": self.name, "split_digest": self.card["digest"], "resize": self.card["resize"]}

    @property
    def content(self) -> tuple[str, str]:
        """A name and a description of its content. Tables of other content are other tables."""
        return self.name, f"{len(self)} examples {self.card['digest'][:12]}"

    @property
    def keys(self) -> list[str]:
        """The keys of the items, in their order."""
        return [f"{index:06d}" for index in range(len(self))]

    def has_keys(self, cells: Sequence[str]) -> bool:
        """Whether cells of a CSV are the keys of all items, in their order; ValueError if one is not a number."""
        return [finite_number(cell) for cell in cells] == [*range(len(self))]

    @property
    @abstractmethod
    def votes(self) -> np.ndarray:
        """The answers of the observers, (N,)."""

    @property
    @abstractmethod
    def pixels(self) -> int:
        """The number of pixels of the largest image."""

    def verify(self) -> None:  # noqa: B027 (nothing to compare by default)
        """Raise UserError if the content differs from the card."""

    def batches(self, start: int, size: int) -> list[range]:
        """The items from `start` on, in batches for `read` of at most `size` items."""
        return [range(first, min(first + size, len(self))) for first in range(start, len(self), size)]

    @abstractmethod
    def read(self, items: range) -> list[np.ndarray]:
        """The images of a batch, uint8 (n, H, W, 3) each. The others are compared with the first."""

    def in_order(self, distances: Values, items: range) -> Values:
        """The distances of a batch (others, n), rearranged to (columns, items), with one column per distance."""
        return distances


def content_of(splits: Sequence[Split]) -> dict[str, str]:
    """The contents of splits by name: see `Split.content`."""
    return dict(split.content for split in splits)
