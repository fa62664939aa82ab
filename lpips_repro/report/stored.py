"""The distances behind the rows of tables that were written, from where the evaluation keeps them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lpips_repro.datasets.split import Split
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances.precomputed import PrecomputedDistances
from lpips_repro.evaluation.distances.store import DistanceStore
from lpips_repro.evaluation.tables.table import Row

OF_THE_SPLIT = {"split", "split_digest", "resize"}
# What a card says of its file alone.
OF_THE_FILE = {"observers", "method", "count", "values", "sha256"}


def distances_of(row: Row, splits: Sequence[Split], experiments: Path) -> dict[str, dict[str, np.ndarray]]:
    """The distances of a row by split, then by column; those of its first seed if it is the mean of several.

    Args:
        row: of a table of these splits, with its settings; experiments: the folder that has `distances/`.

    Raises:
        UserError: if those of a split are not stored, or damaged.
    """
    if "distances" in row.settings:
        precomputed = PrecomputedDistances(Path(row.settings["distances"]))
        return {split.name: precomputed.read(split) for split in splits}
    store = DistanceStore(experiments / "distances")
    return {split.name: _stored(row, split, store) for split in splits}


def _stored(row: Row, split: Split, store: DistanceStore) -> dict[str, np.ndarray]:
    label = _first_label(row)
    for card in _cards(store.root / str(split.card["dataset"]) / split.name.replace("/", "-"), label):
        identity = {key: card[key] for key in card.keys() - OF_THE_SPLIT - OF_THE_FILE}
        if card.get("method") == label and _made(row.settings, identity):
            found = store.load(label, identity, split)
            if found is not None:
                return found
    raise UserError(
        f"{row.label}: its distances on {split.name} are not in {store.root}: `make eval-tables` computes them again"
    )


def _first_label(row: Row) -> str:
    """What the distances of a row, or of its first seed, are stored under."""
    if row.run:
        return row.run.split()[0]
    seeds = row.seed.split()
    return f"{row.label}-seed{seeds[0]}" if len(seeds) > 1 else row.label


def _cards(folder: Path, label: str) -> list[dict[str, Any]]:
    cards = []
    for file in sorted(folder.glob("*.json")):
        if file.name.startswith(f"{label}-"):
            try:
                card = json.loads(file.read_text())
            except (OSError, ValueError):
                continue
            cards += [card] * isinstance(card, dict)
    return cards


def _made(settings: Mapping[str, Any], identity: Mapping[str, Any]) -> bool:
    """Whether settings of a row say the same as an identity; those of several seeds are lists."""
    return all(_says(settings.get(key), value) for key, value in identity.items())


def _says(setting: Any, value: Any) -> bool:
    return setting == value or (isinstance(setting, list) and bool(setting) and setting[0] == value)
