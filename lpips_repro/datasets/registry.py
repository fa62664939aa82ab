"""The registry of datasets, and their base class.

A dataset is a class, a dataclass of its settings, and a file in `configs/data/`:

    @dataclass
    class StudySettings(DataSettings):
        observers: str
        size: int               # pixels per side, if all images have the same size

    @register_dataset("study", StudySettings)
    class Study(Dataset):
        def prepare(self, phases):
            ...                     # packed splits, made if they are missing: see `packed.write_split`

`configs/data/study.yaml` then has `name: study`, `root`, `observers` and `size`. If the class is in a file outside this
package, the YAML file names it by `module: FILE.py`. A YAML file outside `configs/`, such as FOLDER/data/study.yaml, is
found with `hydra.searchpath=[file:///FOLDER]`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, cast

from tabulate import tabulate

from lpips_repro.config import DataSettings
from lpips_repro.config.choices import register_settings
from lpips_repro.datasets.packed import PHASES, PackedSplit
from lpips_repro.datasets.split import Split
from lpips_repro.errors import UserError, check_new
from lpips_repro.parallel import available_cores

# The default limit. Each worker takes about 50 MB and its data.
MOST_WORKERS = 8


class Finding(NamedTuple):
    """A line of the table of `make data-verify` (the first five fields), and its consequences."""

    what: str
    amount: str  # count of examples, or an archive's size
    expected: str
    digest: str
    verdict: str
    is_there: bool = True
    is_bad: bool = False
    # Not errors, since published sizes are rounded, and digests come from others' result files.
    warning: str | None = None


class Dataset(ABC):
    """The base class of registered datasets.

    Attributes:
        settings: an instance of the dataclass that is registered with the class.
        title: its name in messages.
    """

    title: str = ""

    def __init__(self, settings: Any) -> None:
        self.settings = settings
        self.title = self.title or settings.name

    @property
    def size(self) -> int | None:
        """The side of its images in pixels: the setting `size`, or None without this setting."""
        return getattr(self.settings, "size", None)

    @property
    def has_paper_figures(self) -> bool:
        """Whether the paper's figures are on these data."""
        return False

    @property
    def workers(self) -> int:
        """The number of processes that decode or make images."""
        return self.settings.workers or min(available_cores(), MOST_WORKERS)

    def phases(self) -> tuple[str, ...]:
        """The phases of the dataset: "train" and "val", or one of them."""
        return PHASES

    @abstractmethod
    def prepare(self, phases: Sequence[str]) -> Sequence[Split]:
        """The splits of phases, 2AFC first in each. Splits that are missing or have changed are made.

        Raises:
            UserError: if the dataset is missing, if a file of it is wrong, or if it has no such splits.
        """

    def find(self, phases: Sequence[str]) -> list[PackedSplit]:
        """The packed splits of phases. Nothing is downloaded."""
        return cast(list[PackedSplit], self.prepare(phases))

    def to_fetch(self, phases: Sequence[str]) -> list[str]:
        """The splits that `prepare` would download, such as `2afc/val/cnn`."""
        return []

    def describe(self, phases: Sequence[str]) -> str:
        """A table of the splits, as text, after `prepare`."""
        rows = []
        for split in cast(list[PackedSplit], self.prepare(phases)):
            card = split.card
            rows.append(
                (
                    *(split.name, len(split), card["observers"], "{}x{}".format(*split.size)),
                    *(card["resize"], card["digest"][:12], split.path),
                )
            )
        headers = ("split", "count", "observers", "size", "resize", "digest", "packed in")
        return tabulate(rows, headers=headers, tablefmt="simple")

    def verify(self, phases: Sequence[str]) -> Iterator[Finding]:
        """Compare the dataset on disk with published figures; UserError if there are none."""
        raise UserError(f"data-verify with data={self.settings.name}: it has no published counts: use DATA=bapps")


DATASETS: dict[str, type[Dataset]] = {}


def register_dataset(name: str, settings: type[DataSettings]) -> Callable[[type[Dataset]], type[Dataset]]:
    """Return a decorator that registers a class with its dataclass of settings; UserError if the name is taken."""

    def register(dataset: type[Dataset]) -> type[Dataset]:
        check_new("dataset", name, DATASETS)
        register_settings("data", name, settings)
        DATASETS[name] = dataset
        return dataset

    return register


def dataset_of(settings: DataSettings) -> Dataset:
    """The dataset of parsed settings."""
    return DATASETS[settings.dataset or settings.name](settings)
