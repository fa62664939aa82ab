"""The paper's protocol: what a session shows, and who is excluded (section 2.3 and appendix).

What is no item is made from the references of a session's own items:

    same        twice the reference                              JND: "same" is right
    noise       the reference, and it with much Gaussian noise   JND: "different" is right; 2AFC: p0 is, the reference
    different   the reference, and it with some Gaussian noise   JND: "different" is right
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lpips_repro.collect.models import ITEM, SENTINEL, TRAINING

SHOWN_ITEM, SAME, NOISE, DIFFERENT = "item", "same", "noise", "different"
SIGMA = {NOISE: 0.3, DIFFERENT: 0.1}  # of the noise, of the range of 1
RIGHT = {("2afc", NOISE): 0, ("jnd", SAME): 1, ("jnd", NOISE): 0, ("jnd", DIFFERENT): 0}  # the stored answers
TRAINING_PAIRS = {"2afc": {}, "jnd": {SAME: 4, NOISE: 1, DIFFERENT: 5}}
SENTINELS = {"2afc": {NOISE: 15}, "jnd": {SAME: 32, NOISE: 8}}
LEAST_CORRECT = 0.93  # share of sentinels; a worker below it is excluded

# Places on the page, in the order in which a trial shows its images.
PLACES = {"2afc": ("ref", "left", "right"), "jnd": ("first", "second")}
# What a worker can choose, and the answer stored for it if p0 is on the left.
CHOICES = {"2afc": {"left": 0, "right": 1}, "jnd": {"different": 0, "same": 1}}
ON_MS, GAP_MS = 1000, 250  # a pair: one image, a gap, the other one


class Planned(NamedTuple):
    """A trial to be shown; `source` is the item whose images it is made of."""

    role: str
    shown: str
    source: int
    swapped: bool


def plan(kind: str, items: Sequence[int], rng: np.random.Generator) -> list[Planned]:
    """The trials of a session: training first, then items and sentinels in random order.

    Args:
        kind: "2afc" or "jnd"; items: their ids, at least one.
    """

    def made(role: str, counts: dict[str, int]) -> list[Planned]:
        shown = [name for name, count in counts.items() for _ in range(count)]
        return [Planned(role, name, int(rng.choice(items)), bool(rng.integers(2))) for name in shown]

    training = made(TRAINING, TRAINING_PAIRS[kind])
    rest = [Planned(ITEM, SHOWN_ITEM, item, bool(rng.integers(2))) for item in items]
    rest += made(SENTINEL, SENTINELS[kind])
    return [*(training[i] for i in rng.permutation(len(training))), *(rest[i] for i in rng.permutation(len(rest)))]


def stored_answer(kind: str, choice: str, swapped: bool) -> int:
    """1 for p1 (2AFC) or "same" (JND), else 0."""
    answer = CHOICES[kind][choice]
    return 1 - answer if kind == "2afc" and swapped else answer


def is_excluded(correct: int, sentinels: int) -> bool:
    """Whether a worker with so many right answers to so many sentinels is below the least share."""
    return correct < LEAST_CORRECT * sentinels
