"""The datasets by name, and what can be done with each.

A dataset is a class with a dataclass of its settings, and a file in `configs/data/`:

    @dataclass
    class StudySettings(DataSettings):
        observers: str
        size: int               # pixels a side, if all images have the same

    @register_dataset("study", StudySettings)
    class Study(Dataset):
        def prepare(self, phases):
            ...                     # packed splits, made if they are missing: see `packed.write_split`

`configs/data/study.yaml` then has `name: study`, `root`, `observers` and `size`. A class in a file outside this package
is named there by `module: FILE.py`, and a YAML file outside `configs/`, as FOLDER/data/study.yaml, is found with
`hydra.searchpath=[file:///FOLDER]`.
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

# By default: each takes some 50 MB and what it is working on.
MOST_WORKERS = 8


class Finding(NamedTuple):
    """A line of the table of `make data-verify` (the first five), and what becomes of it."""

    what: str
    amount: str  # count of examples, or an archive's size
    expected: str
    digest: str
    verdict: str
    is_there: bool = True
    is_bad: bool = False
    # No errors: published are rounded sizes, and digests that were taken of others' result files.
    warning: str | None = None


class Dataset(ABC):
    """A dataset on this computer, and what can be done with it: base of the registered classes.

    Attributes:
        settings: an object of the dataclass that is registered with the class.
        title: what messages call it.
    """

    title: str = ""

    def __init__(self, settings: Any) -> None:
        self.settings = settings
        self.title = self.title or settings.name

    @property
    def size(self) -> int | None:
        """Pixels a side of the images that its splits hold: the setting `size`; None if it has none."""
        return getattr(self.settings, "size", None)

    @property
    def has_paper_figures(self) -> bool:
        """Whether the paper's figures are figures on these data."""
        return False

    @property
    def workers(self) -> int:
        """How many processes decode or make images."""
        return self.settings.workers or min(available_cores(), MOST_WORKERS)

    def phases(self) -> tuple[str, ...]:
        """The phases that there are: "train" and "val", or one of them."""
        return PHASES

    @abstractmethod
    def prepare(self, phases: Sequence[str]) -> Sequence[Split]:
        """The splits of phases, 2AFC first in each; whatever is missing or has changed is made.

        Raises:
            UserError: if the dataset is not there, a file of it is at fault, or it has no such splits.
        """

    def find(self, phases: Sequence[str]) -> list[PackedSplit]:
        """The packed splits of phases to be looked at; nothing is downloaded."""
        return cast(list[PackedSplit], self.prepare(phases))

    def to_fetch(self, phases: Sequence[str]) -> list[str]:
        """The splits that `prepare` would download, as in `2afc/val/cnn`."""
        return []

    def describe(self, phases: Sequence[str]) -> str:
        """What there is of the dataset, for the terminal, after `prepare`."""
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
        """Compare what is on disk with what is published of the dataset; UserError if nothing is."""
        raise UserError(f"data-verify with data={self.settings.name}: only bapps has published counts: use DATA=bapps")


DATASETS: dict[str, type[Dataset]] = {}


def register_dataset(name: str, settings: type[DataSettings]) -> Callable[[type[Dataset]], type[Dataset]]:
    """Register a class and the dataclass of its settings; UserError if the name is taken."""

    def register(dataset: type[Dataset]) -> type[Dataset]:
        check_new("dataset", name, DATASETS)
        register_settings("data", name, settings)
        DATASETS[name] = dataset
        return dataset

    return register


def dataset_of(settings: DataSettings) -> Dataset:
    """The dataset of parsed settings."""
    return DATASETS[settings.dataset or settings.name](settings)
