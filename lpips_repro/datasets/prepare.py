"""From a dataset's settings to its packed splits."""

from lpips_repro.config import DataSettings
from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.datasets.registry import dataset_of


def prepare(data: DataSettings, *phases: str) -> list[PackedSplit]:
    """The packed splits of phases ("train", "val"): see `Dataset.prepare`."""
    return dataset_of(data).prepare(phases)
