"""A split of whole images with mean opinion scores, at one size."""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lpips_repro.datasets.mos.images import DistortedImage, load_image, pixels_of
from lpips_repro.datasets.split import Split, Values
from lpips_repro.errors import UserError
from lpips_repro.provenance import digest_of

KIND = "mos"  # the kind of the protocols that score it
# The code that turns image files into arrays.
READER = ("files/decoding.py", "datasets/mos/images.py", "datasets/mos/split.py")


@dataclass(frozen=True)
class ImageSplit(Split):
    """Distorted images and their references, resized when they are read.

    Attributes:
        path, card: as for `Split`; card["split"] is the size of the smaller side, in pixels.
        images: the images, ordered by reference.
    """

    path: Path
    card: dict[str, Any]
    images: Sequence[DistortedImage]
    _last: dict[Path, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    item: ClassVar[str] = "image"
    key: ClassVar[str] = "image"
    digest_has_votes: ClassVar[bool] = False

    @property
    def size(self) -> int:
        """The size of the smaller side, in pixels."""
        return int(self.card["split"])

    @property
    def identity(self) -> dict[str, Any]:
        """See `Split`. It includes the code that reads the files."""
        return {**super().identity, "reader": digest_of(READER)}

    @property
    def content(self) -> tuple[str, str]:
        """See `Split`. All sizes have the same content."""
        return "images", f"{len(self)} images {self.card['digest'][:12]}"

    @property
    def keys(self) -> list[str]:
        """The names of the images."""
        return [image.name for image in self.images]

    def has_keys(self, cells: Sequence[str]) -> bool:
        """See `Split`."""
        return [cell.strip() for cell in cells] == self.keys

    @property
    def votes(self) -> np.ndarray:
        """Mean opinion scores, float64 (N,); higher is better."""
        return np.array([image.mos for image in self.images])

    @property
    def groups(self) -> list[int]:
        """The number of images of each reference."""
        return [len([*images]) for _, images in itertools.groupby(self.images, lambda image: image.reference)]

    @functools.cached_property
    def pixels(self) -> int:
        """See `Split`. An image has as many pixels as its reference."""
        return max(pixels_of(reference, self.size) for reference in {image.reference for image in self.images})

    def batches(self, start: int, size: int) -> list[range]:
        """See `Split`. All images of a batch have the same reference."""
        ends = [*itertools.accumulate(self.groups)]
        return [
            range(first, min(first + size, end))
            for begin, end in zip([0, *ends], ends, strict=False)
            for first in range(max(begin, start), end, size)
        ]

    def read(self, items: range) -> list[np.ndarray]:
        """The repeated reference, and both halves of the images, so that each pass of the reference serves two.

        If the number of images is odd and above one, the last one is repeated.

        Raises:
            UserError: if an image cannot be read, or does not have its reference's size.
        """
        images = self.images[items.start : items.stop]
        reference = self._reference(images[0].reference)
        distorted = [self._like(reference, image) for image in images]
        half = (len(distorted) + 1) // 2
        if len(distorted) > 1:
            distorted += distorted[-1:] * (len(distorted) % 2)
        parts = [distorted[first : first + half] for first in range(0, len(distorted), half)]
        return [np.stack(part) for part in ([reference] * half, *parts)]

    def in_order(self, distances: Values, items: range) -> Values:
        """See `Split`. The distances of both halves (2, n) become one column (1, items)."""
        return distances.reshape(1, -1)[:, : len(items)]

    def _reference(self, path: Path) -> np.ndarray:
        if path not in self._last:  # the last reference is not needed any more
            self._last.clear()
            self._last[path] = load_image(path, self.size)
        return self._last[path]

    def _like(self, reference: np.ndarray, image: DistortedImage) -> np.ndarray:
        found = load_image(image.distorted, self.size)
        if found.shape != reference.shape:
            height, width, _ = found.shape
            raise UserError(
                f"{image.distorted}: {width} x {height} with a smaller side of {self.size}, but its reference"
                f" {image.reference.name} has {reference.shape[1]} x {reference.shape[0]}: restore the file"
            )
        return found
