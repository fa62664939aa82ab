"""Selection of the examples that have images and maps on the page."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lpips_repro.config import Images
from lpips_repro.datasets.packed import PackedSplit
from lpips_repro.errors import UserError, expected
from lpips_repro.evaluation.protocols.twoafc import twoafc_credits
from lpips_repro.report.page.examples import Examples

RULE = (
    "In each split, a third are the examples that the methods disagree about most: their verdicts are divided most"
    " evenly, and among equals the votes of the judges are clearest. A third are unanimous misses: all judges agree,"
    " and the most methods choose the other image. The rest are random (seed 0)."
)


@dataclass(frozen=True)
class Chosen:
    """Sorted indices of the examples with images and of those with maps, by split."""

    images: dict[str, np.ndarray]
    maps: dict[str, np.ndarray]


def choose(examples: Examples, images: Images, count: int, maps: int, named: Sequence[str]) -> Chosen:
    """Return the examples with images and those with maps.

    Args:
        examples: all examples.
        images: whether all, selected or no examples have images.
        count: number of selected examples over all splits, see `RULE`.
        maps: number of examples with maps over all splits: disagreements and unanimous misses.
        named: examples that always have images and maps, such as "cnn/17".

    Raises:
        UserError: if a name is not that of an example.
    """
    asked = named_examples(examples.splits, named)
    if images is Images.none:
        count = maps = 0
    found, mapped = {}, {}
    parts = len(examples.splits)
    for place, split in enumerate(examples.splits):
        divided, misses = _divided_and_missed(examples, split)
        own = count * (place + 1) // parts - count * place // parts
        of_maps = maps * (place + 1) // parts - maps * place // parts
        first = _joined(divided[: -(-of_maps // 2)], misses)[:of_maps]
        mapped[split.name] = np.unique(np.concatenate([first, asked[split.name]]))
        selected = _selected(split, divided, misses, own)
        found[split.name] = (
            np.arange(len(split)) if images is Images.all else np.unique(np.concatenate([selected, mapped[split.name]]))
        )
    return Chosen(found, mapped)


def named_examples(splits: Sequence[PackedSplit], names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the indices of examples that are named SPLIT/INDEX, by split.

    Raises:
        UserError: if a name is not that of an example.
    """
    by_name = {split.card["split"]: split for split in splits}
    found: dict[str, list[int]] = {split.name: [] for split in splits}
    for name in names:
        of_split, _, index = name.rpartition("/")
        if of_split not in by_name:
            raise UserError(f"report.examples={name}: expected SPLIT/INDEX: {expected(of_split, by_name)}")
        split = by_name[of_split]
        if not (index.isdecimal() and len(index) < 19 and int(index) < len(split)):
            raise UserError(f"report.examples={name}: expected an index from 0 to {len(split) - 1}")
        found[split.name].append(int(index))
    return {name: np.array(indices, int) for name, indices in found.items()}


def _divided_and_missed(examples: Examples, split: PackedSplit) -> tuple[np.ndarray, np.ndarray]:
    """The examples that methods disagree about, and unanimous ones that methods miss, the clearest first."""
    votes = np.asarray(split.votes, np.float64)
    for_p1, wrong = np.zeros(len(split)), np.zeros(len(split))
    for _, by_split in examples.methods:
        d0, d1 = by_split[split.name]
        for_p1 += np.where(d0 == d1, 0.5, d1 < d0) / len(examples.methods)
        wrong += (twoafc_credits(d0, d1, votes) < 0.5) / len(examples.methods)
    divided, clear = np.round(1 - np.abs(2 * for_p1 - 1), 6), np.abs(2 * votes - 1)
    disputed = np.lexsort((-clear, -divided))
    missed = np.lexsort((np.arange(len(split)), -np.where(clear == 1, wrong, 0)))
    return disputed[divided[disputed] > 0], missed[(clear == 1)[missed] & (wrong[missed] > 0)]


def _selected(split: PackedSplit, divided: np.ndarray, misses: np.ndarray, count: int) -> np.ndarray:
    third = count // 3
    found = _joined(divided[:third], misses)[: 2 * third] if third else divided[:0]
    generator = np.random.default_rng([0, zlib.crc32(split.name.encode())])
    return _joined(found, generator.permutation(len(split)))[:count]


def _joined(first: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The indices `first`, followed by those of `others` that are not among them."""
    return np.concatenate([first, others[~np.isin(others, first)]]).astype(int)
