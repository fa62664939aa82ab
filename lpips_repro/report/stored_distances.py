"""The stored distances of the rows of tables."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lpips_repro.datasets.split import Split
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances.precomputed import PrecomputedDistances
from lpips_repro.evaluation.distances.store import DistanceStore
from lpips_repro.evaluation.tables.table import Row
from lpips_repro.files import read_json

log = logging.getLogger(__name__)

Distances = dict[str, np.ndarray]  # by column
FIRST = 0  # index of a seed
OF_THE_SPLIT = {"split", "split_digest", "resize"}
# Keys of a card that describe its file only.
OF_THE_FILE = {"observers", "method", "count", "values", "sha256"}


def distances_of(row: Row, splits: Sequence[Split], experiments: Path, seed: int = FIRST) -> dict[str, Distances]:
    """Return the distances of a row, or of one of its seeds if it is the mean of several.

    Args:
        row: row of a table of these splits, with its settings.
        splits: splits of the table.
        experiments: folder that contains `distances/`.
        seed: index of the seed, less than `number_of_seeds(row)`.

    Returns:
        Arrays (N,) by split, then by column.

    Raises:
        UserError: if the distances on a split are not stored, or damaged.
    """
    if "distances" in row.settings:
        precomputed = PrecomputedDistances(Path(row.settings["distances"]))
        return {split.name: precomputed.read(split) for split in splits}
    store = DistanceStore(experiments / "distances")
    return {split.name: _stored(row, seed, split, store) for split in splits}


def warn_of_left_out(reasons: Mapping[str, str]) -> None:
    """Warn of rows whose distances cannot be used, given the reasons by label: once of all rows with one reason."""
    labels: dict[str, list[str]] = {}
    for label, reason in reasons.items():
        labels.setdefault(reason.removeprefix(f"{label}: "), []).append(label)
    for reason, rows in labels.items():
        log.warning("%s: %s", ", ".join(rows), reason)


def number_of_seeds(row: Row) -> int:
    """Return the number of seeds that a row is the mean of, at least 1."""
    return max(1, len(row.seed.split()))


def _stored(row: Row, seed: int, split: Split, store: DistanceStore) -> Distances:
    label = _label(row, seed)
    for card in _cards(store.root / str(split.card["dataset"]) / split.name.replace("/", "-"), label):
        identity = {key: card[key] for key in card.keys() - OF_THE_SPLIT - OF_THE_FILE}
        if card.get("method") == label and _made(row.settings, seed, identity):
            found = store.load(label, identity, split)
            if found is not None:
                return found
    raise UserError(
        f"{row.label}: the distances on {split.name} are not in {store.root}: `make eval-tables` computes them again"
    )


def _label(row: Row, seed: int) -> str:
    """The label under which the distances of a row, or of one of its seeds, are stored."""
    if row.run:
        return row.run.split()[seed]
    seeds = row.seed.split()
    return f"{row.label}-seed{seeds[seed]}" if len(seeds) > 1 else row.label


def _cards(folder: Path, label: str) -> list[dict[str, Any]]:
    cards = []
    for file in sorted(folder.glob("*.json")):
        if file.name.startswith(f"{label}-"):
            try:
                card = read_json(file, finite=False)
            except (OSError, ValueError):
                continue
            cards += [card] * isinstance(card, dict)
    return cards


def _made(settings: Mapping[str, Any], seed: int, identity: Mapping[str, Any]) -> bool:
    """Whether the settings of a row contain an identity."""
    return all(is_value_of_seed(settings.get(key), seed, value) for key, value in identity.items())


def is_value_of_seed(setting: Any, seed: int, value: Any) -> bool:
    """Whether a setting of a row has a value for a seed. A setting that differs between seeds is a list."""
    return setting == value or (isinstance(setting, list) and seed < len(setting) and setting[seed] == value)
