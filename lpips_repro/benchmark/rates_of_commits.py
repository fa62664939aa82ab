"""Rates of this tree compared with those of another commit, one row per case."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np
from tabulate import tabulate

# Number of times that both processes are started. If the trees are equally fast, chance decides which one is ahead
# after a start. The probability that the same one is ahead after all n starts is 2 / 2^n: 0.4 % for nine, 3 % for six.
# Fewer starts than six are not judged.
STARTS, LEAST_STARTS = 9, 6

Turn = tuple[float, float]  # seconds of a call in this tree and in the other one


@dataclass(frozen=True)
class Case:
    """A task that both trees run.

    Attributes:
        task: key of `lpips_repro.benchmark.commit_worker.TASKS`.
        net, mode, precision: its arguments.
        batch: number of examples per call.
        unit: unit of the rate, such as "pairs/s".
        tolerance: largest difference between the values of the trees, relative to the largest value.
    """

    task: str
    batch: int
    unit: str
    tolerance: float
    net: str = ""
    mode: str = "eager"
    precision: str = "float32"


@dataclass
class Sample:
    """The measurements of a case.

    Attributes:
        turns: the turns after each start of the processes.
        difference: largest difference between the values of the trees, relative to the largest value.
        note: why the case could not be run, or not to the end.
    """

    case: Case
    turns: list[list[Turn]] = field(default_factory=list)
    difference: float | None = None
    note: str = ""

    def compare(self, now: Sequence[float], then: Sequence[float]) -> None:
        """Update `difference` with the values of this tree and of the other one; the largest one is kept."""
        found = math.inf
        if len(now) == len(then):
            ours, theirs = np.array(now), np.array(then)
            found = float(np.abs(ours - theirs).max() / (np.abs(theirs).max() or 1.0))
        self.difference = max(math.inf if math.isnan(found) else found, self.difference or 0.0)


@dataclass
class Change:
    """A row of the result.

    Attributes:
        task, net, batch, mode, precision, unit: as in `Case`.
        rate_now, rate_then: median rates of this tree and of the other one.
        ratio: `rate_now` divided by `rate_then`, median over the starts; ratio_low, ratio_high: its extremes.
        verdict: "faster" or "slower" if it was so after every start, else "same within the spread"; "not judged" after
            too few starts.
        difference: as in `Sample`.
        starts, rounds: number of starts, and total number of rounds.
        note: why it was not run, or that the values differ.
    """

    task: str
    net: str
    batch: int
    mode: str
    precision: str
    unit: str
    rate_now: float | None = None
    rate_then: float | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    verdict: str = "not run"
    difference: float | None = None
    starts: int = 0
    rounds: int = 0
    note: str = ""


def change_of(sample: Sample) -> Change:
    """Return the row of a sample."""
    case = sample.case
    change = Change(case.task, case.net, case.batch, case.mode, case.precision, case.unit)
    change.difference, change.note = sample.difference, sample.note
    if sample.note:
        return change
    difference = math.nan if sample.difference is None else sample.difference
    if not difference <= case.tolerance:
        change.note = f"values differ by {difference:.2g} of the largest: expected at most {case.tolerance:g}"
    turns = [turn for start in sample.turns for turn in start]
    change.rate_now, change.rate_then = (case.batch / median(seconds) for seconds in zip(*turns, strict=True))
    ratios = [median(then / now for now, then in start) for start in sample.turns]
    change.ratio, change.ratio_low, change.ratio_high = median(ratios), min(ratios), max(ratios)
    change.starts, change.rounds = len(ratios), len(turns)
    change.verdict = _verdict(ratios)
    return change


def _verdict(ratios: Sequence[float]) -> str:
    if len(ratios) < LEAST_STARTS:
        return "not judged"
    if min(ratios) > 1:
        return "faster"
    return "slower" if max(ratios) < 1 else "same within the spread"


def render(changes: Sequence[Change], commit: str) -> str:
    """Return rows as a text table, with the notes below it; `commit` is the header of the other tree's rates."""
    lines = [
        {
            "task": change.task,
            "net": change.net,
            "batch": str(change.batch),
            "mode": change.mode,
            "precision": change.precision,
            "now": "" if change.rate_now is None else f"{change.rate_now:.4g} {change.unit}",
            commit: "" if change.rate_then is None else f"{change.rate_then:.4g} {change.unit}",
            "ratio": "" if change.ratio is None else f"{change.ratio:.3f}",
            "spread": "" if change.ratio is None else f"{change.ratio_low:.3f} - {change.ratio_high:.3f}",
            "verdict": change.verdict + (", VALUES DIFFER" if change.ratio and change.note else ""),
            "difference": "" if change.difference is None else f"{change.difference:.1e}",
        }
        for change in changes
    ]
    notes = [
        f"  {' '.join(filter(None, (change.task, change.net, change.mode, change.precision)))}: {change.note}"
        for change in changes
        if change.note
    ]
    return "\n".join([tabulate(lines, headers="keys", tablefmt="simple", disable_numparse=True), *notes])
