"""The decided and undecided pairs of methods as sentences."""

from collections.abc import Sequence

from lpips_repro.evaluation.protocols import Protocol
from lpips_repro.evaluation.tables.writer import judged_by

NAMED = 3  # largest number of names in a list; the others are counted
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
    """Return the sentences of a column: the observers unless they are human, a summary, and a sentence per method.

    Args:
        protocol: protocol of the table; column: name of the column.
        observers: "human", "simulated" or "unknown".
        shown: names of the methods, the best score first.
        difference, p_holm: of all pairs, (methods, methods).
        better: (methods, methods): whether the first method of a pair is better by a decided difference.
    """
    lines = [] if observers == "human" else [judged_by(observers)]
    count = len(shown)
    if count == 1:
        return [*lines, f"On {_place(column)}, {shown[0]} is the only method with a score and stored distances."]
    pairs, decided = count * (count - 1) // 2, sum(map(sum, better))
    if not decided:
        which = "between the two methods" if count == 2 else f"between any two of the {count} methods"
        return [*lines, f"On {_place(column)}, the data do not decide {which}."]
    lines.append(f"On {_place(column)}, the data decide {decided} of {pairs} pairs (p is adjusted for all of them).")
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
        lines.append(f"On {_place(column)}, {'; '.join(parts)}.")
    return lines


def _place(column: str) -> str:
    return MEANS.get(column, column)


def _amount(protocol: Protocol, difference: float | None) -> str:
    unit = " points" if protocol.scale == 100 else ""
    return f"{abs(difference or 0):.{protocol.shown}f}{unit}"


def _p(p: float | None) -> str:
    return "p < .001" if not p or p < 0.001 else f"p = {p:.3f}".replace("0.", ".")


def _listed(names: Sequence[str]) -> str:
    """Names with "and" before the last one; if there are many, the last ones are counted."""
    more = len(names) - NAMED
    names = [*names] if more <= 1 else [*names[:NAMED], f"{more} others"]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
