"""The distances behind the rows of tables that were written, from where the evaluation keeps them."""

import json
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

log = logging.getLogger(__name__)

Distances = dict[str, np.ndarray]  # by column
FIRST = 0  # of the seeds of a row
OF_THE_SPLIT = {"split", "split_digest", "resize"}
# What a card says of its file alone.
OF_THE_FILE = {"observers", "method", "count", "values", "sha256"}


def distances_of(row: Row, splits: Sequence[Split], experiments: Path, seed: int = FIRST) -> dict[str, Distances]:
    """The distances of a row by split, then by column; those of one of its seeds if it is the mean of several.

    Args:
        row: of a table of these splits, with its settings; experiments: the folder that has `distances/`.
        seed: the place of the seed among those of the row: see `number_of_seeds`.

    Raises:
        UserError: if those of a split are not stored, or damaged.
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
    """How many methods a row is the mean of."""
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
    """What the distances of a row, or of one of its seeds, are stored under."""
    if row.run:
        return row.run.split()[seed]
    seeds = row.seed.split()
    return f"{row.label}-seed{seeds[seed]}" if len(seeds) > 1 else row.label


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


def _made(settings: Mapping[str, Any], seed: int, identity: Mapping[str, Any]) -> bool:
    """Whether settings of a row say the same as an identity; what differs between its seeds is a list there."""
    return all(says(settings.get(key), seed, value) for key, value in identity.items())


def says(setting: Any, seed: int, value: Any) -> bool:
    """Whether a setting of a row is a value of one of its seeds: what differs between them is a list there."""
    return setting == value or (isinstance(setting, list) and seed < len(setting) and setting[seed] == value)
