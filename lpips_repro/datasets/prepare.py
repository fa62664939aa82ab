"""From a dataset's settings to its splits."""

from collections.abc import Sequence

from lpips_repro.config import DataSettings
from lpips_repro.datasets.registry import dataset_of
from lpips_repro.datasets.split import Split


def prepare(data: DataSettings, *phases: str) -> Sequence[Split]:
    """The splits of phases ("train", "val"): see `Dataset.prepare`."""
    return dataset_of(data).prepare(phases)
