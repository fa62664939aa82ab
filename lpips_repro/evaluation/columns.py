"""The columns of the tables: the splits, and the paper's averages over them."""

from collections.abc import Mapping, Sequence

import numpy as np

from lpips_repro.datasets.packing.layout import split_order

# Paper, Tables 5 and 6: each average is the plain mean of its splits.
AVERAGES = {
    "2afc": {
        "distortions": ("traditional", "cnn"),
        "real": ("superres", "deblur", "color", "frameinterp"),
        "all": ("traditional", "cnn", "superres", "deblur", "color", "frameinterp"),
    },
    "jnd": {"all": ("traditional", "cnn")},
}
PAPER_COLUMNS = {
    "2afc": ("traditional", "cnn", "distortions", "superres", "deblur", "color", "frameinterp", "real", "all"),
    "jnd": ("traditional", "cnn", "all"),
}


def columns_of(kind: str, splits: Sequence[str]) -> tuple[str, ...]:
    """The columns for these splits: the paper's for its own splits, else the splits found and their mean, "all"."""
    if set(splits) == set(AVERAGES[kind]["all"]):
        return PAPER_COLUMNS[kind]
    return (*sorted(splits, key=split_order), "all")


def add_averages(kind: str, values: Mapping[str, np.ndarray | float]) -> dict[str, np.ndarray | float]:
    """Values by split (scores or their replicates) with those of the averages, in the order of the columns."""
    columns = columns_of(kind, tuple(values))
    averages = AVERAGES[kind] if columns == PAPER_COLUMNS[kind] else {"all": tuple(values)}
    means = {name: sum(values[split] for split in members) / len(members) for name, members in averages.items()}
    return {column: means[column] if column in means else values[column] for column in columns}
