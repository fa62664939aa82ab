"""The base of datasets of whole images with mean opinion scores."""

import logging
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NoReturn

from lpips_repro.config import DataSettings
from lpips_repro.config.checks import check_at_least
from lpips_repro.datasets.mos.images import DistortedImage, digest_images
from lpips_repro.datasets.mos.split import KIND, ImageSplit
from lpips_repro.datasets.registry import Dataset
from lpips_repro.errors import UserError

log = logging.getLogger(__name__)


@dataclass
class MosSettings(DataSettings):
    """The settings of a dataset of whole images with mean opinion scores.

    Attributes:
        sizes: sizes of the smaller side, in pixels, at which images are compared.
        trained_on: the dataset whose finished training runs are rows of the table, or None.
    """

    sizes: list[int]
    trained_on: str | None

    def __post_init__(self):
        if not self.sizes or len(set(self.sizes)) < len(self.sizes):
            raise UserError(f"data.sizes={self.sizes}: expected one or more sizes in pixels, each once")
        for size in self.sizes:
            check_at_least("data.sizes", size, 1)


class MosDataset(Dataset):
    """Whole images with mean opinion scores. A subclass reads its images and knows their number.

    Attributes:
        whole: numbers of reference and distorted images of the complete dataset.
    """

    whole: ClassVar[tuple[int, int]]
    settings: MosSettings

    @abstractmethod
    def read_images(self) -> list[DistortedImage]:
        """The distorted images, ordered by reference, type and level.

        Raises:
            UserError: if a file is missing or a score is wrong. The message names the file and the line.
        """

    def is_whole(self, images: Sequence[DistortedImage]) -> bool:
        """Whether the images are all of the complete dataset."""
        return (len({image.reference for image in images}), len(images)) == self.whole

    def describe_images(self, images: Sequence[DistortedImage]) -> str:
        """The numbers of images as text, with a warning if they are not all."""
        words = f"{len({image.reference for image in images})} reference images, {len(images)} distorted"
        if self.is_whole(images):
            return f"{words}: all of {self.title}"
        return (
            f"{words}: NOT all of {self.title} ({self.whole[0]} and {self.whole[1]}): figures on them cannot be"
            " compared with published ones"
        )

    def describe(self, phases: Sequence[str]) -> str:
        """The numbers of images as text. Nothing is written."""
        return f"{self.settings.root}: {self.describe_images(self.read_images())}"

    def phases(self) -> tuple[str, ...]:
        """Only "val": nothing is trained on it."""
        return ("val",)

    def prepare(self, phases: Sequence[str]) -> list[ImageSplit]:
        """One split per size, such as `mos/val/384`; no training split.

        Raises:
            UserError: if a file of the dataset is missing or damaged.
        """
        if {*phases} != {*self.phases()}:
            self._refuse()
        root, images = Path(self.settings.root), self.read_images()
        if len({image.mos for image in images}) == 1:
            raise UserError(f"{root}: all images have the same mean opinion score, so that no correlation is defined")
        described = self.describe_images(images)
        if self.is_whole(images):
            log.info("%s: %s", root, described)
        card = {
            **{"kind": KIND, "phase": "val", "dataset": self.settings.name, "title": self.title},
            **{"resize": "pil_bilinear", "observers": "human", "count": len(images), "digest": digest_images(images)},
            "note": "" if self.is_whole(images) else described,
        }
        return [ImageSplit(root, {**card, "split": str(size)}, images) for size in self.settings.sizes]

    def find(self, phases: Sequence[str]) -> NoReturn:
        """Raise UserError: such datasets have no packed splits."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        name = self.settings.name
        raise UserError(
            f"data={name}: {self.title} has mean opinion scores of whole images, no splits of judged patches: only"
            f" `make data` and `make eval-tables` work with DATA={name}: use DATA=bapps, mini or folder"
        )
