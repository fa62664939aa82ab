"""The splits of a dataset from its settings."""

from collections.abc import Sequence

from lpips_repro.config import DataSettings
from lpips_repro.datasets.registry import dataset_of
from lpips_repro.datasets.split import Split
from lpips_repro.errors import UserError


def prepare(data: DataSettings, *phases: str) -> Sequence[Split]:
    """The splits of phases ("train", "val"): see `Dataset.prepare`.

    Raises:
        UserError: as for `Dataset.prepare`, and if it returns no split.
    """
    splits = dataset_of(data).prepare(phases)
    if not splits:
        raise UserError(
            f"data={data.name}: no split of phase {' or '.join(phases)}: `prepare` of its class returned none"
        )
    return splits
