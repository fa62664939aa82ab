"""Triplets with the votes and the verdicts of two methods, as a CSV."""

from collections.abc import Iterable
from pathlib import Path

from lpips_repro.evaluation.disagreement import Disagreement
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.files import write_csv

FIELDS = ("d0", "d1", "verdict", "credit")  # of each method
COLUMNS = (
    *("split", "index", *TWOAFC.images, "judge", "strength", "better"),
    *("method_a", "method_b", *(f"{field}_{of}" for of in "ab" for field in FIELDS), "observers"),
)


def write_triplets(path: Path, found: Iterable[Disagreement]) -> None:
    """Write a CSV with a line per triplet."""
    write_csv(path, map(_line, found), COLUMNS)


def _line(one: Disagreement) -> dict[str, object]:
    line = {
        "split": one.split,
        "index": one.index,
        **one.files,
        "judge": f"{one.judge:.6g}",
        "strength": f"{one.strength:.6f}",
    }
    line |= {"better": one.better, "observers": one.observers}
    for of, answer in zip("ab", one.answers, strict=True):
        line |= {f"method_{of}": answer.label} | {f"{field}_{of}": getattr(answer, field) for field in FIELDS}
    return line
