"""Which differences between methods the data carry, in sentences."""

from collections.abc import Sequence

from lpips_repro.evaluation.protocols import Protocol
from lpips_repro.evaluation.tables.writer import judged_by

NAMED = 3  # methods in a list, before the rest is a number
MEANS = {
    "all": "the mean of all splits",
    "distortions": "the mean of the distortions",
    "real": "the mean of the real algorithms",
}


def sentences_of(
    protocol: Protocol,
    column: str,
    observers: str,
    shown: Sequence[str],
    difference: Sequence[Sequence[float | None]],
    p_holm: Sequence[Sequence[float | None]],
    better: Sequence[Sequence[bool]],
) -> list[str]:
    """The sentences of a column: whose judgments they are if not of people, a summary, and one per method.

    Args:
        shown: the methods, the best score first; difference, p_holm: of all pairs, (methods, methods).
        better: whether the first of a pair is better by a decided difference.
    """
    said = [] if observers == "human" else [judged_by(observers)]
    count = len(shown)
    if count == 1:
        return [*said, f"On {_place(column)}, {shown[0]} is the only method with a score and stored distances."]
    pairs, decided = count * (count - 1) // 2, sum(map(sum, better))
    if not decided:
        which = "between the two methods" if count == 2 else f"between any two of the {count} methods"
        return [*said, f"On {_place(column)}, the data do not decide {which}."]
    said.append(f"On {_place(column)}, the data decide {decided} of {pairs} pairs (p is adjusted for all of them).")
    for first in range(count - 1):
        below = range(first + 1, count)
        worse = [
            f"{shown[other]} ({_amount(protocol, difference[first][other])}, {_p(p_holm[first][other])})"
            for other in below
            if better[first][other]
        ]
        open_ = [shown[other] for other in below if not better[first][other]]
        parts = [f"{shown[first]} is better than {_listed(worse)}"] if worse else []
        if open_:
            each = "each of " if len(open_) > 1 else ""
            parts.append(f"between {shown[first]} and {each}{_listed(open_)} the data do not decide")
        said.append(f"On {_place(column)}, {'; '.join(parts)}.")
    return said


def _place(column: str) -> str:
    return MEANS.get(column, column)


def _amount(protocol: Protocol, difference: float | None) -> str:
    unit = " points" if protocol.scale == 100 else ""
    return f"{abs(difference or 0):.{protocol.shown}f}{unit}"


def _p(p: float | None) -> str:
    return "p < .001" if not p or p < 0.001 else f"p = {p:.3f}".replace("0.", ".")


def _listed(names: Sequence[str]) -> str:
    """Names with "and" before the last one; many are cut short."""
    more = len(names) - NAMED
    names = [*names] if more <= 1 else [*names[:NAMED], f"{more} others"]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
